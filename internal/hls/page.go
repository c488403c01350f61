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
	// Playlist is relative to the page, Address the same in full, for other players.
	Playlist, Address string
}

// offAirRefresh is how often, in seconds, the page looks for a stream that is not on air.
const offAirRefresh = 5

func (p page) serve(w http.ResponseWriter, r *http.Request, name string, onAir bool, refresh int) {
	address := url.URL{Scheme: scheme(r), Host: r.Host, Path: "/" + name + playlistSuffix}
	playlist := url.URL{Path: "../" + path.Base(name) + playlistSuffix}
	var body bytes.Buffer
	err := p.tmpl.Execute(&body, pageData{
		Stream: name, OnAir: onAir, Refresh: refresh, Style: template.CSS(pageCSS),
		Playlist: playlist.String(), Address: address.String(),
	})
	if err != nil {
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
