package metrics

import (
	"cmp"
	"slices"
	"strings"
)

// other is app and name of the series of all streams that have none of their own.
const other = "_other"

// selection decides which streams have series of their own: those with the most viewers when there
// is room, and then until they end, so that no series comes and goes.
type selection struct {
	most   int
	chosen map[[2]string]bool
	// seen are the counts of the others at the last scrape. rest sums up how they rose.
	seen map[[2]string]counts
	rest counts
}

type counts struct{ received, sent uint64 }

func newSelection(most int) *selection {
	return &selection{most: most, chosen: make(map[[2]string]bool), seen: make(map[[2]string]counts)}
}

func (s *Stream) key() [2]string { return [2]string{s.App, s.Name} }

// split returns the streams with series of their own, and the sum of the others, with how many of
// them are on air in up. There are none if ok is false.
func (c *selection) split(all []Stream) (own []Stream, rest Stream, up int, ok bool) {
	slices.SortFunc(all, func(a, b Stream) int {
		return cmp.Or(cmp.Compare(b.Viewers, a.Viewers), cmp.Compare(a.App, b.App), cmp.Compare(a.Name, b.Name))
	})
	here := make(map[[2]string]bool, len(all))
	for i := range all {
		here[all[i].key()] = true
	}
	for key := range c.chosen {
		if !here[key] {
			delete(c.chosen, key)
		}
	}
	seen := make(map[[2]string]counts)
	for _, s := range all {
		key := s.key()
		if s.App != other && (c.chosen[key] || len(c.chosen) < c.most) {
			c.chosen[key] = true
			own = append(own, s)
			continue
		}
		ok = true
		if s.OnAir {
			up++
		}
		now, before := counts{s.Received, s.Sent}, c.seen[key]
		c.rest.received += now.received - min(now.received, before.received)
		c.rest.sent += now.sent - min(now.sent, before.sent)
		seen[key] = now
		rest.Viewers += s.Viewers
		rest.Rate += s.Rate
	}
	c.seen = seen
	rest.App, rest.Name, rest.Received, rest.Sent = other, other, c.rest.received, c.rest.sent
	return own, rest, up, ok || c.rest != counts{}
}

// label is a text as a label may be.
func label(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }
