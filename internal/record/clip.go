package record

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
)

// serveClipFile serves a clip as one file: a fragmented MP4 with a picture and a sound.
func (r *Recorder) serveClipFile(w http.ResponseWriter, req *http.Request, at storedAt, from, to, rendition string) error {
	select {
	case r.clips <- struct{}{}:
		defer func() { <-r.clips }()
	default:
		w.Header().Set("Retry-After", "10")
		return badRequest{http.StatusServiceUnavailable, errors.New("too many clips are being made, try again")}
	}
	s, about, err := at.span(req.Context(), from, to)
	if err != nil {
		return err
	}
	ids, err := choose(about.Renditions, rendition)
	if err != nil {
		return err
	}
	c := clip{ctx: req.Context(), at: at, control: http.NewResponseController(w)}
	if err := c.open(ids, s); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "video/mp4")
	h.Set("Cache-Control", cacheNever)
	h.Set("Content-Disposition", `attachment; filename="`+fileName(about)+`"`)
	h.Set("Etag", fmt.Sprintf(`"%s-%d-%d-%s-%d"`, about.ID, s.first, s.end, strings.Join(ids, "-"), c.size))
	http.ServeContent(w, req, "", time.Time{}, &c)
	if c.err != nil {
		r.log.Debug("clip not sent to its end", "err", c.err)
		panic(http.ErrAbortHandler) // so that the client does not take it for whole
	}
	return nil
}

// fileName is what a clip is called where it is saved.
func fileName(about Recording) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\/:*?<>|%`, r) {
			return '_'
		}
		return r
	}, path.Base(about.Stream))
	return name + "-" + about.Started.UTC().Format(startLayout) + initSuffix
}

// choose returns the renditions of a clip: the best video, or the one that is named, and the first
// sound.
func choose(all []Rendition, named string) (ids []string, err error) {
	lead, _ := leading(all)
	if named != "" {
		lead = named
	}
	sound := ""
	found := false
	for _, r := range all {
		found = found || r.ID == lead
		if r.Kind == "audio" && sound == "" {
			sound = r.ID
		}
	}
	if !found {
		return nil, badRequest{http.StatusNotFound, errors.New("no such rendition")}
	}
	if sound == "" || sound == lead || !strings.HasPrefix(lead[strings.LastIndexByte(lead, '.')+1:], "v") {
		return []string{lead}, nil
	}
	return []string{lead, sound}, nil
}
