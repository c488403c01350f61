package ladder

import (
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// join lets the rendition of a video and a sound together follow a new view of t, if it is one of
// them. It is made as soon as the stream has one of each, and stays as long as they do, whatever
// else comes.
func (o *output) join(t *track) {
	if !o.joined {
		return
	}
	if o.joint == nil {
		if video, sound := o.onlyPair(); video != nil {
			o.joint = playlist.Join(video, sound)
			o.show.Put(o.joint.Rendition)
		}
	}
	if !o.joins(t) {
		return
	}
	first, err := o.joint.Update(o.line.firstList())
	switch {
	case err != nil:
		o.journal.log.Error("tracks not joined", "error", err)
		o.joined = false
		o.separate()
	case first:
		o.show.tell()
	}
}

// joins says that t is one of those that are together.
func (o *output) joins(t *track) bool {
	return o.joint != nil && (o.joint.Video == t.Rendition || o.joint.Sound == t.Rendition)
}

// separate takes the rendition of both away: one of them left.
func (o *output) separate() {
	o.show.Remove(o.joint.Rendition)
	o.joint.Leave()
	o.joint = nil
}

// onlyPair returns the video and the sound of the ladder if there is one of each, and each has
// something to play.
func (o *output) onlyPair() (video, sound *playlist.Rendition) {
	for _, t := range o.roster.tracks {
		switch {
		case t.member == nil || t.View.Load() == nil:
		case t.kind == media.Video && video == nil:
			video = t.Rendition
		case t.kind == media.Audio && sound == nil:
			sound = t.Rendition
		default:
			return nil, nil
		}
	}
	if video == nil || sound == nil {
		return nil, nil
	}
	return video, sound
}

// oneOfEach says that a stream has one video and one sound, in this order.
func oneOfEach(infos []playlist.Info) bool {
	return len(infos) == 2 && infos[0].Kind == media.Video && infos[1].Kind == media.Audio
}
