// Package pages holds what web/ was built into, and serves it. A program that was built without
// Node has none, and whoever asks for a page must have a form of it without script.
package pages

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed all:dist
var built embed.FS

// manifestFile is where Vite says what became of each source file.
const manifestFile = ".vite/manifest.json"

// Folder is where pages find their files: below their own address, so that they work behind any
// proxy that shows the page at all.
const Folder = "assets/"

// Set is the built pages. Its methods may be called at the same time.
type Set struct {
	chunks map[string]chunk
	assets map[string]*asset
}

// chunk is an entry of the manifest.
type chunk struct {
	File    string   `json:"file"`
	CSS     []string `json:"css"`
	Imports []string `json:"imports"`
}

// asset is one file.
type asset struct {
	contentType string
	plain       []byte
	// packed is the same by gzip, nil if there is none.
	packed []byte
}

// Built returns the pages that are built into this program.
func Built() (*Set, error) {
	dist, err := fs.Sub(built, "dist")
	if err != nil {
		return nil, err
	}
	return New(dist)
}

// New reads the output of Vite. Where there is none, the set is empty.
func New(files fs.FS) (*Set, error) {
	s := &Set{chunks: make(map[string]chunk), assets: make(map[string]*asset)}
	manifest, err := fs.ReadFile(files, manifestFile)
	if err != nil {
		return s, nil // built without Node
	}
	if err := json.Unmarshal(manifest, &s.chunks); err != nil {
		return nil, fmt.Errorf("reading %s: %w", manifestFile, err)
	}
	entries, err := fs.ReadDir(files, strings.TrimSuffix(Folder, "/"))
	if err != nil {
		return nil, fmt.Errorf("reading built pages: %w", err)
	}
	packed := make(map[string][]byte)
	for _, e := range entries {
		data, err := fs.ReadFile(files, Folder+e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading built pages: %w", err)
		}
		if name, ok := strings.CutSuffix(e.Name(), ".gz"); ok {
			packed[name] = data
			continue
		}
		s.assets[e.Name()] = newAsset(e.Name(), data)
	}
	for name, a := range s.assets {
		a.packed = packed[name]
	}
	return s, nil
}

func newAsset(name string, data []byte) *asset {
	a := &asset{contentType: mime.TypeByExtension(path.Ext(name)), plain: data}
	switch path.Ext(name) { // not what the system's own table says of these
	case ".js":
		a.contentType = "text/javascript; charset=utf-8"
	case ".css":
		a.contentType = "text/css; charset=utf-8"
	}
	return a
}

// Page is what the head of a page has to name, relative to the page.
type Page struct {
	Script string
	Styles []string
	// Preload is the scripts that Script needs, and those that it will ask for at once.
	Preload []string
}

// Page returns what belongs to the source file entry of web/, and to those that it asks for at
// once. It is false for a program without built pages.
func (s *Set) Page(entry string, soon ...string) (Page, bool) {
	c, ok := s.chunks[entry]
	if !ok {
		return Page{}, false
	}
	p := Page{Script: c.File}
	for _, source := range append([]string{entry}, soon...) {
		s.collect(&p, source, make(map[string]bool))
	}
	p.Preload = slices.DeleteFunc(p.Preload, func(file string) bool { return file == p.Script })
	return p, true
}

// collect adds the files of a source file and of what it imports.
func (s *Set) collect(p *Page, source string, seen map[string]bool) {
	c, ok := s.chunks[source]
	if !ok || seen[source] {
		return
	}
	seen[source] = true
	for _, imported := range c.Imports {
		s.collect(p, imported, seen)
	}
	if !slices.Contains(p.Preload, c.File) {
		p.Preload = append(p.Preload, c.File)
	}
	for _, css := range c.CSS {
		if !slices.Contains(p.Styles, css) {
			p.Styles = append(p.Styles, css)
		}
	}
}

// Has says whether there is a file of this name.
func (s *Set) Has(name string) bool { return s.assets[name] != nil }

// Serve answers a GET or HEAD request with a file that there is. Its name changes with its content,
// so that it may be kept for ever.
func (s *Set) Serve(w http.ResponseWriter, r *http.Request, name string) {
	a := s.assets[name]
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", a.contentType)
	h.Set("Vary", "Accept-Encoding")
	body := a.plain
	if a.packed != nil && len(a.packed) < len(body) && acceptsGzip(r) {
		body = a.packed
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone if this fails
	}
}

// acceptsGzip reads Accept-Encoding (RFC 9110 12.5.3): gzip is named and not excluded.
func acceptsGzip(r *http.Request) bool {
	for item := range strings.SplitSeq(strings.Join(r.Header["Accept-Encoding"], ","), ",") {
		coding, params, _ := strings.Cut(item, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		q, weighted := strings.CutPrefix(strings.TrimSpace(params), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		return !weighted || err == nil && weight > 0
	}
	return false
}
