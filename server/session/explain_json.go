package session

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// jsonObject is a JSON object whose keys stay in order.
type jsonObject []member

type member struct {
	key   string
	value any
}

func (o *jsonObject) add(key string, value any) { *o = append(*o, member{key, value}) }

// MarshalJSON implements json.Marshaler.
func (o jsonObject) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := jsonText(m.key)
		if err != nil {
			return nil, err
		}
		value, err := jsonText(m.value)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), value...)
	}
	return append(b, '}'), nil
}

// jsonText is a value in JSON, with < and > as they are.
func jsonText(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// json is EXPLAIN as one document: Postgres' form, so that tools can draw it, with more keys beside its own.
func (x *explanation) json(s *Session) (string, error) {
	var doc jsonObject
	subplans := 0
	doc.add("Plan", x.node(x.plans[0], "", &subplans))
	if len(x.plans) > 1 {
		var stages []jsonObject
		for _, p := range x.plans[1:] {
			stages = append(stages, x.node(p, "", &subplans))
		}
		doc.add("Stages", stages)
	}
	doc.add("Logical", jsonObject{{"Written", logicalNode(x.made.Written)}, {"Optimized", logicalNode(x.made.Optimized)}})
	rules := []jsonObject{}
	for _, n := range x.made.Notes {
		rules = append(rules, jsonObject{{"Rule", n.Topic}, {"Did", n.Text}})
	}
	doc.add("Rules", rules)
	if x.running != nil {
		doc = append(doc, x.running.json(s)...)
	}
	if x.opts.summary {
		doc.add("Planning Time", inMillis(x.planning))
	}
	if x.profile != nil {
		doc.add("Triggers", []jsonObject{})
		if x.opts.summary {
			doc.add("Peak Memory", kilobytes(x.profile.Peak))
			doc.add("Execution Time", inMillis(x.profile.Total))
		}
	}
	text, err := jsonText([]jsonObject{doc})
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = json.Indent(&b, text, "", "  ")
	return b.String(), err
}

// node is an operator of the physical plan with all below it. relation is how the one above uses it.
func (x *explanation) node(o *spec.Outline, relation string, subplans *int) jsonObject {
	var out jsonObject
	if o.Node == nil {
		verb, table, _ := strings.Cut(o.Line, " on ")
		out = jsonObject{{"Node Type", "ModifyTable"}, {"Operation", verb}, {"Relation Name", table}}
	} else {
		name, facts := spec.Facts(o.Node)
		out = jsonObject{{"Node Type", name}}
		if relation != "" {
			out.add("Parent Relationship", relation)
		}
		out.add("Parallel Aware", false)
		out.add("Async Capable", false)
		for _, f := range facts {
			out.add(f.Key, f.Value)
		}
		out.add("Operator", o.Line)
		if x.opts.verbose {
			out.add("Output", columnNames(&o.Node.Schema))
		}
		out = append(out, x.measured(o)...)
	}
	var plans []jsonObject
	for _, p := range o.Subplans {
		*subplans++
		sub := x.node(p, "SubPlan", subplans)
		sub = append(sub[:2:2], append(jsonObject{{"Subplan Name", "SubPlan " + strconv.Itoa(*subplans)}}, sub[2:]...)...)
		plans = append(plans, sub)
	}
	for i, in := range o.In {
		plans = append(plans, x.node(in, inputRelation(o, i), subplans))
	}
	if len(plans) > 0 {
		out.add("Plans", plans)
	}
	return out
}

// inputRelation is how an operator uses an input, in Postgres' words.
func inputRelation(o *spec.Outline, i int) string {
	if o.Node != nil {
		if _, ok := o.Node.Op.(*spec.Union); ok {
			return "Member"
		}
	}
	return [...]string{"Outer", "Inner"}[min(i, 1)]
}

// measured is what an operator did, when something was counted. Like Postgres', rows and times are those of one loop.
func (x *explanation) measured(o *spec.Outline) jsonObject {
	if x.running != nil {
		return x.running.measured(o)
	}
	if x.profile == nil {
		return nil
	}
	st := x.profile.Stats(o.Node)
	if st == nil || st.Loops == 0 {
		return jsonObject{{"Actual Rows", 0}, {"Actual Loops", 0}}
	}
	var out jsonObject
	if x.opts.timing {
		out.add("Actual Total Time", inMillis(x.time(o)/time.Duration(st.Loops)))
		out.add("Self Time", inMillis(st.Self))
	}
	out.add("Actual Rows", perLoop(st.Out, st.Loops))
	out.add("Actual Loops", st.Loops)
	if len(o.In) > 0 {
		out.add("Rows In", st.In)
	}
	out.add("Batches", st.Batches)
	if m := st.Memory(); m > 0 {
		out.add("Peak Memory Usage", kilobytes(m))
	}
	if r := st.Scan; r != nil {
		out.add("Records Read", r.Records)
		out.add("Bytes Read", r.Bytes)
		out.add("Bytes Skipped", r.Skipped)
		out.add("Records Refused", r.Refused)
	}
	return out
}

// logicalNode is an operator of a logical plan with all below it.
func logicalNode(o *spec.Outline) jsonObject {
	out := jsonObject{{"Operator", o.Line}}
	var plans []jsonObject
	for _, list := range [2][]*spec.Outline{o.Subplans, o.In} {
		for _, in := range list {
			plans = append(plans, logicalNode(in))
		}
	}
	if len(plans) > 0 {
		out.add("Plans", plans)
	}
	return out
}

// inMillis is a duration in milliseconds, to the microsecond.
func inMillis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}

// json is what is known of a running query as a whole.
func (r *running) json(s *Session) jsonObject {
	var parts []jsonObject
	for i := range r.in.Parts {
		p := &r.in.Parts[i]
		part := jsonObject{{"Name", p.Name}, {"Changes Out", p.RowsOut}, {"Late Rows", p.Late}}
		part = append(part, r.time(s, p.Watermark)...)
		var inputs []jsonObject
		for _, in := range p.Inputs {
			o := append(jsonObject{{"Name", in.Name}}, r.time(s, in.Watermark)...)
			o.add("Silent", in.Silent)
			switch {
			case in.Behind < 0:
			case in.IsResult:
				o.add("Rows Behind", in.Behind)
			default:
				o.add("Bytes Behind", in.Behind)
			}
			inputs = append(inputs, o)
		}
		part.add("Inputs", inputs)
		parts = append(parts, part)
	}
	return jsonObject{{"Continuous Query", r.q.Name}, {"Counted Seconds", r.seconds()}, {"Workers", r.in.Workers}, {"Queries", parts}}
}

// time is a watermark and its distance from the clock; null before there is one.
func (r *running) time(s *Session, wm types.EventTime) jsonObject {
	if wm == types.MinTime {
		return jsonObject{{"Watermark", nil}, {"Lag Seconds", nil}}
	}
	return jsonObject{{"Watermark", timeText(s, wm)}, {"Lag Seconds", float64(r.in.Clock-wm) / 1e6}}
}

// measured is what an operator has done.
func (r *running) measured(o *spec.Outline) jsonObject {
	c, ok := r.counts[o.Node]
	if !ok {
		return nil
	}
	out := jsonObject{{"Rows In", c.In}, {"Rows Out", c.Out}}
	if seconds := r.seconds(); seconds > 0 {
		out.add("Rows Per Second", math.Round(float64(max(c.In, c.Out))/seconds*10)/10)
	}
	out.add("Batches", c.Batches)
	if c.Stateful {
		out.add("Keys", c.Keys)
		out.add("State Bytes", c.Bytes)
		out.add("Late Rows", c.Late)
	}
	return out
}
