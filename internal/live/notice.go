package live

import "slices"

// Change is something that happens to a stream: to all its renditions together, or to one of them.
type Change uint8

// The changes of a stream, and of one of its publications, which is a rendition.
const (
	// Started: the stream's first publication began. Ended: the last one is over.
	Started Change = iota + 1
	Ended
	// Lost: all its publishers are gone, and it waits for their return. Returned: one is back.
	Lost
	Returned
	// TakenOver: another publisher took the place of one.
	TakenOver
	// Added and Removed: a rendition began, or is over.
	Added
	Removed
)

// Notice says what happened. Name is that of the stream, without rendition, but for TakenOver,
// Added and Removed.
type Notice struct {
	Change Change
	Name   Name
	// By is what PublishBy was told about the publisher that began; nil for Lost, Removed and
	// Ended.
	By any
	// Cause is why something is over: of Lost, Removed and Ended.
	Cause error
}

// notify tells what happened. The caller holds mu, so that notices come in their order.
func (h *Hub) notify(n Notice) {
	if h.opt.Notify != nil {
		h.opt.Notify(n)
	}
}

// noteBegin tells what a session's begin changed, and says whether a publication begins with it to
// be published here. The caller holds mu.
func (h *Hub) noteBegin(s *Stream, by any, isCopy, takenOver bool) (begins bool) {
	l := h.ladders[s.name.whole()]
	switch {
	case isCopy && s.home:
		if takenOver {
			l.onAir--
		}
		h.noteEnd(s, l, ErrMoved)
		return false
	case isCopy:
		return false
	case takenOver && s.home:
		h.notify(Notice{TakenOver, s.name, by, nil})
		return false
	}
	l.onAir++
	if l.lost {
		l.lost = false
		h.notify(Notice{Returned, s.name.whole(), by, nil})
	}
	if s.home {
		return false
	}
	if !l.home() {
		h.notify(Notice{Started, s.name.whole(), by, nil})
	}
	s.home = true
	h.notify(Notice{Added, s.name, by, nil})
	return true
}

// home says whether a member is published here.
func (l *ladder) home() bool {
	return slices.ContainsFunc(l.members, func(s *Stream) bool { return s.home })
}

// noteLoss tells that a publisher was lost, if it was the stream's last one. The caller holds mu.
func (h *Hub) noteLoss(s *Stream, cause error) {
	if l := h.ladders[s.name.whole()]; s.home && l.onAir == 0 {
		l.lost = true
		h.notify(Notice{Lost, s.name.whole(), nil, cause})
	}
}

// noteEnd tells that a publication is over, or is not published here any more. The caller holds mu.
func (h *Hub) noteEnd(s *Stream, l *ladder, cause error) {
	if !s.home {
		return
	}
	s.home = false
	h.notify(Notice{Removed, s.name, nil, cause})
	if !l.home() {
		l.lost = false
		h.notify(Notice{Ended, s.name.whole(), nil, cause})
	}
}
