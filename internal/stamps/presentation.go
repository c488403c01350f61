package stamps

import (
	"math/bits"
	"slices"
	"time"

	"livego/internal/media"
)

// Some encoders of B pictures stamp pictures with when they are shown, in the order in which they
// are decoded, with composition times of 0.

const (
	// seen is how many pictures are looked at, and edge how many of the earliest and of the latest
	// among them may miss others between them.
	seen, edge = 24, 4
	// maxDepth is how many pictures may come before one that is shown before them, and minBacks how
	// many time stamps go back at least.
	maxDepth, minBacks = 4, 4
	// evenly is by how much the distances of pictures may differ.
	evenly = 2
	// elsewhere is how far a time stamp may be from those before if it is of the same time base.
	elsewhere = time.Second
)

const faultPresentation = "pictures stamped with when they are shown: they are given times of decoding and composition"

// presentation has the newest time stamps of a track of pictures.
type presentation struct {
	stamps [seen]time.Duration
	n      int
	// backs has a bit for each that went back.
	backs uint32
	// depth is how many pictures come before one that is shown before them, once on.
	depth int
	on    bool
	last  time.Duration // of decoding
}

// push takes a time stamp. One that is far away begins anew.
func (p *presentation) push(stamp time.Duration) {
	if p.n > 0 {
		before := p.stamps[(p.n-1)%seen]
		if (stamp - before).Abs() > elsewhere {
			*p = presentation{}
		}
		p.backs <<= 1
		if stamp < before {
			p.backs |= 1
		}
	}
	p.stamps[p.n%seen] = stamp
	p.n++
}

// detect says that the time stamps are those of presentation: in order, they are evenly spaced.
func (p *presentation) detect() bool {
	if p.n < seen || bits.OnesCount32(p.backs&(1<<seen-1)) < minBacks {
		return false
	}
	p.depth = 0
	for i := range seen {
		ahead := 0
		for j := range i {
			if p.at(j) > p.at(i) {
				ahead++
			}
		}
		p.depth = max(p.depth, ahead)
	}
	sorted := p.sorted()
	least, most := time.Hour, time.Duration(0)
	for i := edge + 1; i < seen-edge; i++ {
		step := sorted[i] - sorted[i-1]
		least, most = min(least, step), max(most, step)
	}
	return p.depth <= maxDepth && least > groupStep && most <= evenly*least
}

// at returns the time stamps in the order in which they came.
func (p *presentation) at(i int) time.Duration { return p.stamps[(p.n+i)%seen] }

func (p *presentation) sorted() [seen]time.Duration {
	sorted := p.stamps
	slices.Sort(sorted[:])
	return sorted
}

// decodes returns when the newest picture is decoded: when the one is shown that has as many behind
// it as come early. Times rise, and nothing is shown before.
func (p *presentation) decodes(shown time.Duration) time.Duration {
	sorted := p.sorted()
	at := max(sorted[seen-1-p.depth], p.last+time.Millisecond)
	p.last = min(at, shown)
	return p.last
}

// present gives a picture that came as like, and is v by its clock, the times that are meant.
func (t *track) present(like *media.AccessUnit, v media.AccessUnit) media.AccessUnit {
	p := &t.shown
	if like.PTS != like.DTS || t.smooth || like.Multitrack {
		*p = presentation{}
		return v
	}
	p.push(v.DTS)
	if !p.on {
		if p.on = p.detect(); !p.on {
			return v
		}
		p.last = v.DTS - elsewhere
		t.report(faultPresentation)
	}
	return t.shownAt(like, v)
}

// shownAt gives a picture that is shown at its time one of decoding.
func (t *track) shownAt(like *media.AccessUnit, v media.AccessUnit) media.AccessUnit {
	v.PTS = v.DTS
	if v.DTS = t.shown.decodes(v.PTS); v.DTS != v.PTS {
		t.embody(like, &v)
	}
	return v
}
