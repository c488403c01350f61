package ladder

import (
	"bytes"
	"fmt"
	"slices"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// mayJoin says whether t, which waits for it, can begin with u.
func (p *Packager) mayJoin(t *track, u *media.AccessUnit, b *Boundary) bool {
	if t.tries == 0 && t.tried == 0 && !(b.Seq == p.line.first && t.kind == media.Audio) && !t.near(&p.line, u, b) {
		t.tried = b.Seq // it came in the middle
		return false
	}
	switch {
	case b.Seq <= p.used:
	case t.kind == media.Audio && b.Seq > t.tried || t.near(&p.line, u, b):
		return true
	case b.Seq > t.tried:
		t.tried = b.Seq
		if !b.unaligned {
			t.tries++
		}
		if t.tries >= maxTries {
			p.exclude(t, "its key frames do not coincide with those of the first rendition")
		}
	}
	return false
}

// join makes t a member of the ladder, from the segment on that begins at b.
func (p *Packager) join(t *track, u *media.AccessUnit, b *Boundary) bool {
	r := &playlist.Rendition{ID: t.id(), Kind: t.kind, Disk: p.disk(t.id())}
	t.member = &member{Rendition: r}
	if !p.setTrack(t, u, b.Seq) {
		t.member = nil
		return false
	}
	t.tries = 0
	t.rates = playlist.Rates{Peak: r.StoredPeak(b.Seq)}
	t.cadence = p.cadenceOf(t)
	p.show.Put(r)
	t.open(b)
	return true
}

// setTrack begins to write the track of u. It is false if that cannot be.
func (p *Packager) setTrack(t *track, u *media.AccessUnit, seq int64) bool {
	w, err := fmp4.NewWriter(u.Track)
	if err != nil {
		p.drop(t, u, err)
		return false
	}
	if t.init == nil || t.track != u.Track {
		data, err := fmp4.AppendInit(nil, u.Track, u.Data)
		if err != nil {
			p.drop(t, u, err)
			return false
		}
		if t.init == nil || !bytes.Equal(data, t.init.Data) {
			t.init = &playlist.Init{Seq: seq, Data: data}
		}
	}
	if t.track != u.Track {
		t.alike, t.unlike = nil, nil
	}
	if t.writer != nil && t.kind == media.Audio {
		w.After(t.writer)
	}
	t.writer, t.track, t.session = w, u.Track, u.Epoch
	return true
}

// leave takes t out of the ladder. It comes back at a boundary that it matches.
func (p *Packager) leave(t *track, reason string) {
	if p.lead == t {
		p.lead, p.alone = nil, false
	}
	if t.member == nil {
		return
	}
	p.tellLeft(t, reason)
	p.used = max(p.used, t.seq)
	p.bytes -= t.window.Bytes
	if t.segment != nil {
		p.bytes -= t.segment.Size
	}
	p.show.Remove(t.Rendition)
	if v := t.View.Load(); v != nil && !v.Ended {
		close(v.Replaced)
	}
	t.member = nil
	t.standing, t.tried, t.tries, t.lateness = active, 0, 0, 0
	p.Present(false)
}

// tellLeft logs that a rendition left the ladder, not without end.
func (p *Packager) tellLeft(t *track, reason string) {
	if p.left++; p.left > cut.MaxTrackLogs {
		return
	}
	p.log.Warn("rendition left the ladder", "rendition", t.id(), "reason", reason, "last_line", p.left == cut.MaxTrackLogs)
}

// exclude leaves a track out.
func (p *Packager) exclude(t *track, reason string) {
	p.leave(t, reason)
	misaligned := t.tries >= maxTries
	t.standing = out
	t.queue = unitQueue{}
	p.tracks = slices.DeleteFunc(p.tracks, func(o *track) bool { return o == t })
	if misaligned && len(p.pubs) > 1 && !slices.ContainsFunc(t.pub.tracks, func(o *track) bool { return o.kind == media.Video && o.member != nil }) {
		t.pub.Err = fmt.Errorf("rendition %q: %s; let all encoders use the same fixed key frame interval and one clock: %w", t.pub.Rendition, reason, ErrMisaligned)
	}
	t.objection = reason
}

// tellOut logs why a track is left out, once its media flow: what is known of it may be refined
// until then.
func (p *Packager) tellOut(t *track) {
	reason, key := t.objection, t.pub.Rendition+"."+t.id()+cut.CodecName(t.header)
	t.objection = ""
	if reason == "" || p.leftOut[key] || len(p.leftOut) >= cut.MaxTrackLogs {
		return
	}
	p.leftOut[key] = true
	p.log.Warn("track left out of CMAF", "publication", t.pub.Rendition, "rendition", t.id(), "codec", string(t.header.Codec), "reason", reason)
}

// drop leaves out a unit that cannot be written.
func (p *Packager) drop(t *track, u *media.AccessUnit, err error) {
	p.counts.Dropped.Add(1)
	if p.unfit++; cut.Milestone(p.unfit) {
		p.log.Warn("access unit left out of CMAF", "kind", t.kind.String(), "rendition", t.id(), "codec", u.Track.Codec, "dts", u.DTS, "error", err, "times", p.unfit)
	}
}
