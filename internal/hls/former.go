package hls

import (
	"time"

	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// What players know of a stream's last life stays for a while when the next one begins: its CMAF
// files can be fetched (RFC 8216bis 6.2.2), and its renditions are waited for until the next life
// has them. hls.js (1.7.4) gives up for good where a playlist or a part is 404.

// succeed keeps what is known of a stream's last life, which l replaces. The caller holds mu.
func (s *Server) succeed(l, last *life) {
	former := last.cmaf
	if former.View.Load() == nil { // it never listed anything
		former = last.former.Load()
	}
	last.former.Store(nil)
	if former == nil {
		return
	}
	l.former.Store(former)
	l.expected = time.Now().Add(s.opt.FirstSegmentWait)
	time.AfterFunc(max(s.opt.FirstSegmentWait, former.Duration()), func() { l.former.Store(nil) })
}

// expects is until when a rendition is waited for that is not there: any shortly after the server's
// start, for a former process may have had it, and one of the last life when the next one begins.
func (s *Server) expects(l *life, id string) time.Time {
	if former := l.former.Load(); former != nil && l.expected.After(s.returnBy) && former.Known(id) != nil {
		return l.expected
	}
	return s.returnBy
}

// formerPieces returns the bytes of a file that the last life had, nil if there is none.
func (l *life) formerPieces(t target) (playlist.Document, media.Kind) {
	if former := l.former.Load(); former != nil {
		if r := former.Known(t.id); r != nil {
			return piecesOf(r.View.Load(), t), r.Kind
		}
	}
	return nil, 0
}
