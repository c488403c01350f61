package ladder

import (
	"cmp"
	"slices"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/media"
)

const (
	// maxRenditions bounds the renditions of a stream: as many as a multivariant playlist is read
	// for, and a player switches between.
	maxRenditions = 16
	// catchUp bounds how long the first multivariant playlist waits for publications whose kept
	// units are being read.
	catchUp = time.Second
)

// roster holds the publications of a stream and their tracks.
type roster struct {
	opt Options
	// pubs are the publications, the default one first.
	pubs []*Publication
	// tracks are those that are packaged or may be, in the order in which playlists name them.
	tracks []*track
	// begun is when the first unit came.
	begun time.Time
}

// enter adds a publication.
func (r *roster) enter(pub *Publication) {
	at := len(r.pubs)
	if pub.Rendition == "" {
		at = 0
	}
	r.pubs = slices.Insert(r.pubs, at, pub)
}

// exit removes a publication and its tracks.
func (r *roster) exit(pub *Publication) {
	r.tracks = slices.DeleteFunc(r.tracks, func(t *track) bool { return t.pub == pub })
	r.pubs = slices.DeleteFunc(r.pubs, func(o *Publication) bool { return o == pub })
}

// clear removes all.
func (r *roster) clear() { r.pubs, r.tracks = nil, nil }

// begin notes that a unit came.
func (r *roster) begin() {
	if r.begun.IsZero() {
		r.begun = r.opt.Now()
	}
}

// videoBeside returns how far the video of other publications has come.
func (r *roster) videoBeside(pub *Publication) map[*track]time.Duration {
	reached := make(map[*track]time.Duration)
	for _, t := range r.tracks {
		if t.kind == media.Video && t.pub != pub {
			reached[t] = t.newest
		}
	}
	return reached
}

// isLost says that the publisher of t was lost while other video of the ladder goes on, so that
// it was not the encoder of all, or its network. Players must not stand still with t until the
// publisher is back, or is waited for no more.
func (r *roster) isLost(t *track) bool {
	return t.pub.idle && t.kind == media.Video && t.member != nil && slices.ContainsFunc(r.tracks, func(o *track) bool {
		from, beside := t.pub.others[o]
		return beside && o.member != nil && !o.pub.idle && o.newest-from > cut.Departure
	})
}

// before says that playlists name a before b.
func (r *roster) before(a, b *track) bool {
	return slices.Index(r.tracks, a) < slices.Index(r.tracks, b)
}

// objection says why a track cannot be packaged, "" if it can.
func (r *roster) objection(t *track) string {
	switch {
	case !fmp4.Supports(t.header):
		return cut.CannotCarry("CMAF", t.header)
	case t.standing != active && len(r.tracks) >= r.room(t.kind):
		return "a stream has so many renditions at most"
	}
	return ""
}

// room is how many renditions there may be for one more of a kind: the last place is for a kind
// that has none yet, so that many videos leave one for the sound.
func (r *roster) room(kind media.Kind) int {
	if slices.ContainsFunc(r.tracks, func(o *track) bool { return o.kind != kind }) || len(r.tracks) == 0 {
		return maxRenditions
	}
	return maxRenditions - 1
}

// admit lets a track wait for its place.
func (r *roster) admit(t *track) {
	t.standing, t.tried, t.tries = active, 0, 0
	r.tracks = append(r.tracks, t)
	r.sort()
}

// remove lets a track be packaged no more.
func (r *roster) remove(t *track) {
	r.tracks = slices.DeleteFunc(r.tracks, func(o *track) bool { return o == t })
}

// sort puts the tracks in the order of playlists.
func (r *roster) sort() {
	slices.SortStableFunc(r.tracks, func(a, b *track) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(r.rank(a), r.rank(b)), cmp.Compare(a.number, b.number))
	})
}

// rank is the place of a track's publication. Sound has none: it stays where it is when it comes
// from another one.
func (r *roster) rank(t *track) int {
	if t.kind == media.Audio {
		return 0
	}
	return slices.Index(r.pubs, t.pub)
}

// withoutSound returns another publication whose video goes on without sound of its own in the
// place of t, nil if there is none.
func (r *roster) withoutSound(t *track) *Publication {
	for _, o := range r.tracks {
		if t.kind == media.Audio && o.kind == media.Video && o.member != nil && o.pub != t.pub && !o.pub.idle && !o.pub.carries(t) {
			return o.pub
		}
	}
	return nil
}

// holder returns what has the place of t, which is the same track of another publication, nil if
// nothing has.
func (r *roster) holder(t *track) *track {
	i := slices.IndexFunc(r.tracks, func(o *track) bool { return o.kind == t.kind && o.number == t.number && o.pub != t.pub })
	if i < 0 {
		return nil
	}
	return r.tracks[i]
}

// caughtUp says that what was kept of all publications has been read.
func (r *roster) caughtUp() bool {
	behind := slices.ContainsFunc(r.pubs, func(pub *Publication) bool { return pub.Behind })
	return !behind || r.opt.Now().Sub(r.begun) > catchUp
}

// share bounds, in bytes, what waits to be packaged of each track, and is half the bound of its
// newest segment: of these none can be dropped.
func (r *roster) share() int {
	return min(r.opt.MaxSegmentBytes, r.opt.MaxStreamBytes/max(1, 2*len(r.tracks)))
}

// codecs names those of all tracks, as far as a line of the log does.
func (r *roster) codecs() (names []string) {
	for _, pub := range r.pubs {
		for _, t := range pub.tracks {
			if name := cut.CodecName(t.header); t.header.Kind != media.Data && !slices.Contains(names, name) && len(names) < cut.MaxTrackLogs {
				names = append(names, name)
			}
		}
	}
	return names
}
