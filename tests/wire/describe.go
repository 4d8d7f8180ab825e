package wire

import (
	"fmt"
	"strings"

	"github.com/jackc/pgproto3/v2"
)

// describe prints what counts in a message: no file and line of an error, no process id.
func describe(m pgproto3.BackendMessage) string {
	switch m := m.(type) {
	case *pgproto3.ReadyForQuery:
		return string(m.TxStatus)
	case *pgproto3.CommandComplete:
		return string(m.CommandTag)
	case *pgproto3.RowDescription:
		return describeColumns(m)
	case *pgproto3.DataRow:
		return describeRow(m)
	case *pgproto3.ErrorResponse:
		return describeError(m)
	case *pgproto3.NoticeResponse:
		return describeError((*pgproto3.ErrorResponse)(m))
	case *pgproto3.ParameterStatus:
		return m.Name + "=" + m.Value
	case *pgproto3.ParameterDescription:
		return fmt.Sprint(m.ParameterOIDs)
	case *pgproto3.NotificationResponse:
		return fmt.Sprintf("%s %q", m.Channel, m.Payload)
	case *pgproto3.CopyData:
		return fmt.Sprintf("%q", m.Data)
	case *pgproto3.CopyInResponse:
		return fmt.Sprint(m.OverallFormat, m.ColumnFormatCodes)
	case *pgproto3.CopyOutResponse:
		return fmt.Sprint(m.OverallFormat, m.ColumnFormatCodes)
	}
	return ""
}

// describeColumns prints name, type oid, size, modifier and format of each column.
func describeColumns(m *pgproto3.RowDescription) string {
	var list []string
	for _, f := range m.Fields {
		list = append(list, fmt.Sprintf("%s:%d/%d/%d/%d", f.Name, f.DataTypeOID, f.DataTypeSize, f.TypeModifier, f.Format))
	}
	return strings.Join(list, " ")
}

// describeRow prints values quoted, binary octets as escapes.
func describeRow(m *pgproto3.DataRow) string {
	var list []string
	for _, v := range m.Values {
		if v == nil {
			list = append(list, "NULL")
			continue
		}
		list = append(list, fmt.Sprintf("%q", v))
	}
	return strings.Join(list, " ")
}

// describeError prints the fields that users see.
func describeError(m *pgproto3.ErrorResponse) string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s=%q", name, value)
		}
	}
	if m.Severity != m.SeverityUnlocalized {
		field("V", m.SeverityUnlocalized)
	}
	fmt.Fprintf(&b, "%s %s %q", m.Severity, m.Code, m.Message)
	field("D", m.Detail)
	field("H", m.Hint)
	if m.Position != 0 {
		fmt.Fprintf(&b, " P=%d", m.Position)
	}
	field("W", m.Where)
	return b.String()
}
