package watch

import (
	"bytes"
	"cmp"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"livego/internal/pages"
)

// The source files of the pages in web/, and of the players, one of which the watch page needs as
// soon as there is a stream.
const (
	watchEntry = "src/watch/main.tsx"
	hlsEntry   = "src/watch/hls.ts"
	flvEntry   = "src/watch/flv.ts"
	listEntry  = "src/list/main.tsx"
)

// offAirRefresh is how often, in seconds, a page without script looks for what is not on air.
const offAirRefresh = 5

// pageData is what templates show.
type pageData struct {
	Title string
	// Built says that there is a page with script, of which Page are the files. Status is what it
	// knows from the start.
	Built  bool
	Page   pages.Page
	Status string
	Style  template.CSS
	// Refresh is after how many seconds a page without script loads again, 0: never.
	Refresh int

	Stream string
	OnAir  bool
	Poster string
	// Playlists are for the browser, the one to try first first; Simplest is the address of the
	// last of them, the form that most players know. Without playlists it is that of another
	// protocol.
	Playlists []playlist
	Simplest  string
	Streams   []entry
}

// playlist has an URI that is relative to the page, and the same in full, for other players.
type playlist struct{ URI, Address string }

// entry is a stream in the list.
type entry struct{ URI, Name, Poster string }

// serveWatch shows the watch page of a stream.
func (h *Handler) serveWatch(w http.ResponseWriter, r *http.Request, name string) {
	s, known := h.status(r, name)
	data := pageData{Title: name + " – livego", Stream: name, Refresh: offAirRefresh}
	if s.State != Offline && s.State != Ended {
		data.OnAir, data.Refresh, data.Poster = true, s.Settles, s.Poster
		data.offer(r, s)
	}
	data.Page, data.Built = h.opt.Pages.Page(watchEntry, s.player(scheme(r) == "https"))
	status := http.StatusOK
	if !known {
		status = http.StatusNotFound
	}
	h.servePage(w, r, status, "watch", &data, s, name)
}

// player is the source file of the player with which a page begins that came over TLS or not, so
// that it is loaded at once, and the other one only if it is needed. The page decides by itself, in
// the same way (web/src/watch/ways.ts).
func (s Status) player(secure bool) string {
	flv := s.URLs[HTTPFLV]
	isOpen := flv != "" && (!secure || strings.HasPrefix(flv, "https:"))
	lowLatency := len(s.Playlists) > 0 && strings.HasPrefix(s.Playlists[0], "index")
	if !isOpen || lowLatency && (s.Packaged || s.losesByFLV()) {
		return hlsEntry
	}
	return flvEntry // of a stream that begins it has a picture before there is a playlist
}

// losesByFLV says whether FLV costs viewers something: rewinding, levels, or codecs that its player
// does not know.
func (s Status) losesByFLV() bool {
	videos := 0
	for _, t := range s.Tracks {
		if !slices.Contains([]string{"H264", "AAC", "MP3"}, t.Codec) {
			return true
		}
		if t.Kind == "video" {
			videos++
		}
	}
	return s.Rewind > 0 || videos > 1
}

// offer names what a browser and other players may play.
func (d *pageData) offer(r *http.Request, s Status) {
	d.Simplest = cmp.Or(s.URLs[HTTPFLV], s.URLs[RTMP], s.URLs[RTMPS])
	page := url.URL{Scheme: scheme(r), Host: r.Host, Path: "/" + s.Stream + "/"}
	if token := tokenOf(r); token != "" {
		page.Path = "/~" + token + page.Path
	}
	for _, uri := range s.Playlists {
		address, err := page.Parse(uri)
		if err != nil {
			continue // not one of ours
		}
		d.Playlists = append(d.Playlists, playlist{uri, address.String()})
		d.Simplest = address.String()
	}
}

// serveList shows what is on air.
func (h *Handler) serveList(w http.ResponseWriter, r *http.Request) {
	l := h.list.get(h.opt.Streams)
	data := pageData{Title: "On air – livego", Refresh: offAirRefresh}
	for _, s := range l.Streams {
		uri := url.URL{Path: "./" + s.Stream + "/"}
		e := entry{URI: uri.String(), Name: s.Stream}
		if s.Poster != "" {
			e.Poster = e.URI + s.Poster
		}
		data.Streams = append(data.Streams, e)
	}
	data.Page, data.Built = h.opt.Pages.Page(listEntry)
	h.servePage(w, r, http.StatusOK, "streams", &data, l, "")
}

// servePage fills a template in.
func (h *Handler) servePage(w http.ResponseWriter, r *http.Request, status int, form string, data *pageData, known any, stream string) {
	text, err := json.Marshal(known)
	if err != nil {
		h.fail(w, err)
		return
	}
	data.Status, data.Style = string(text), template.CSS(pageCSS)
	var body bytes.Buffer
	if err := h.template.ExecuteTemplate(&body, form, data); err != nil {
		h.fail(w, err)
		return
	}
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("Content-Security-Policy", h.policy(r, stream))
	head.Set("Referrer-Policy", "no-referrer")
	write(w, r, status, "text/html; charset=utf-8", body.Bytes())
}

// policy is the Content-Security-Policy: everything comes from here. The one exception is the FLV
// port of the same host, for browsers in which HLS does not play.
func (h *Handler) policy(r *http.Request, stream string) string {
	connect := "'self'"
	for _, d := range h.opt.Streams.Doors(stream) {
		if d.Protocol != HTTPFLV && d.Protocol != WebSocketFLV {
			continue
		}
		if source := pages.Source(d.Scheme, r.Host, d.Port); source != "" {
			connect += " " + source
		}
	}
	frames := "'none'"
	if list := h.opt.Frames(); len(list) > 0 {
		frames = strings.Join(list, " ")
	}
	return "default-src 'none'; script-src 'self'; style-src 'self' " + h.style +
		"; img-src 'self' data: blob:; media-src 'self' blob:; connect-src " + connect +
		"; base-uri 'none'; form-action 'none'; frame-ancestors " + frames
}

// scheme is how the viewer reached us, also through a proxy. It only shows in a text to copy.
func scheme(r *http.Request) string {
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https"
	}
	return "http"
}
