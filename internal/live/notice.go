package live

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

// Notice says what happened. Name is that of the stream, without rendition, but for TakenOver, Added
// and Removed.
type Notice struct {
	Change Change
	Name   Name
	// By is what PublishBy was told about the publisher that began; nil for Lost, Removed and Ended.
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

// noteBegin tells what a publisher's begin changed. The caller holds mu.
func (h *Hub) noteBegin(name Name, by any, fresh, takenOver bool) {
	l := h.ladders[name.whole()]
	if takenOver {
		h.notify(Notice{TakenOver, name, by, nil})
		return
	}
	l.onAir++
	if l.lost {
		l.lost = false
		h.notify(Notice{Returned, name.whole(), by, nil})
	}
	if fresh && len(l.members) == 1 {
		h.notify(Notice{Started, name.whole(), by, nil})
	}
	if fresh {
		h.notify(Notice{Added, name, by, nil})
	}
}

// noteLoss tells that a publisher was lost, if it was the stream's last one. The caller holds mu.
func (h *Hub) noteLoss(name Name, cause error) {
	if l := h.ladders[name.whole()]; l.onAir == 0 {
		l.lost = true
		h.notify(Notice{Lost, name.whole(), nil, cause})
	}
}
