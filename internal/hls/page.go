package hls

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"path"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// page is the watch page: no script, the browser plays HLS itself.
type page struct {
	tmpl *template.Template
	// policy is the Content-Security-Policy: this page's style, video from here, nothing else.
	policy string
}

func newPage() page {
	sum := sha256.Sum256([]byte(pageCSS))
	return page{
		tmpl: template.Must(template.New("watch").Parse(pageHTML)),
		policy: "default-src 'none'; media-src 'self' blob:; style-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'",
	}
}

// pageData is what the page shows.
type pageData struct {
	Stream string
	OnAir  bool
	// Refresh is after how many seconds the page loads again, 0: never.
	Refresh int
	Style   template.CSS
	// Playlists are for the browser, the one to try first first.
	Playlists []pagePlaylist
	// Simplest is the address of the last of them: the form that most players know.
	Simplest string
}

// pagePlaylist is a playlist: URI is relative to the page, Address the same in full, for other players.
type pagePlaylist struct{ URI, Address string }

// offAirRefresh is how often, in seconds, the page looks for a stream that is not on air.
const offAirRefresh = 5

// serve shows the stream name with its playlists, which are relative to the page; without any it is off air.
func (p page) serve(w http.ResponseWriter, r *http.Request, name string, playlists []string, refresh int) {
	onAir := len(playlists) > 0
	data := pageData{Stream: name, OnAir: onAir, Refresh: refresh, Style: template.CSS(pageCSS)}
	for _, uri := range playlists {
		relative := url.URL{Path: uri}
		address := url.URL{Scheme: scheme(r), Host: r.Host, Path: path.Join("/"+name, uri)}
		data.Playlists = append(data.Playlists, pagePlaylist{relative.String(), address.String()})
		data.Simplest = address.String()
	}
	var body bytes.Buffer
	if err := p.tmpl.Execute(&body, data); err != nil {
		refuse(w, http.StatusInternalServerError, "watch page: "+err.Error())
		return
	}
	h := w.Header()
	h.Set("Cache-Control", cacheNothing)
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Referrer-Policy", "no-referrer")
	status := http.StatusOK
	if !onAir {
		status = http.StatusNotFound
	}
	writeBody(w, r, status, "text/html; charset=utf-8", body.Bytes())
}

// scheme is how the viewer reached us, also through a proxy. It only shows in a text to copy.
func scheme(r *http.Request) string {
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return "https"
	}
	return "http"
}
