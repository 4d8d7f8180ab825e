package op

import "math"

// cutAnewMost bounds the entries that a Snapshot writes again only because most of those in a slice's blocks count no more: the
// workers stand still for it. Where there are more, that waits for CopyAhead, which an engine calls when so many have changed.
const cutAnewMost = 8 << 10

// worn tells whether most entries of a slice's blocks count no more: entries are there, changed are to be added, live count.
func worn(entries, changed, live int) bool {
	return changed > 0 && entries+changed > rewriteRatio*live+rewriteMin
}

// sliceSave keeps account of what the checkpoint holds of a slice whose groups are numbered.
type sliceSave struct {
	// entries counts those written to the checkpoint since its blocks of this slice were last rewritten; 0: it has none.
	entries int
	// ahead: some of it was copied ahead of the next Snapshot.
	ahead bool
	// restored slices are rewritten whole by the next Snapshot, because keys may have changed hands between workers.
	restored bool
}

// anew tells whether the slice is to be written whole after a Rewrite, and takes it for begun: when it was restored, and when it is
// worn, has at most so many groups, and no part of it was written just now.
func (s *sliceSave) anew(changed, live, most int) bool {
	if !s.restored && (s.ahead || live > most || !worn(s.entries, changed, live)) {
		return false
	}
	s.entries, s.restored = 0, false
	return true
}

// left is how many groups are to be written when so many have changed.
func (s *sliceSave) left(changed, live int) int {
	if s.restored || !s.ahead && worn(s.entries, changed, live) {
		return live
	}
	return changed
}

// stored tells whether the checkpoint has blocks of the slice.
func (s *sliceSave) stored() bool { return s.entries > 0 || s.restored }

// savePart bounds what is written at once: entries, and those of a slice that is begun anew.
type savePart struct{ most, anewMost int }

// copySlices writes about most entries of slices, those of the first ones first; save writes about most of one slice.
func copySlices[S any](all []S, most int, save func(sl S, part savePart) (int, error)) (int, error) {
	left := most
	for _, sl := range all {
		if left <= 0 {
			break
		}
		n, err := save(sl, savePart{left, math.MaxInt})
		if err != nil {
			return 0, err
		}
		left -= n
	}
	return most - left, nil
}
