// Package hlswatch is a Low-Latency HLS client for tests: it plays all renditions of a stream at
// once, as fast as they come, and has hlscheck hold each response against the rules.
package hlswatch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"livego/internal/hls/hlscheck"
)

// maxBody bounds a response.
const maxBody = 64 << 20

// deltaEvery is how many playlists come until one is asked for as a delta update.
const deltaEvery = 3

// Watcher plays streams. The zero value is ready; its checker may be read when Watch has returned.
type Watcher struct {
	// Client sends the requests; nil: http.DefaultClient.
	Client *http.Client
	// Checker gets every response.
	Checker hlscheck.Checker
	// Index is the multivariant playlist that Watch found.
	Index string

	mu      sync.Mutex
	fetched map[string]bool
	files   sync.WaitGroup
}

// Watch plays the stream with the multivariant playlist at address until ctx or the stream ends.
// The error is about playlists that could not be had, not about what the checker found.
func (w *Watcher) Watch(ctx context.Context, address string) error {
	w.fetched = map[string]bool{}
	status, text, err := w.get(ctx, address)
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("multivariant playlist: status %d: %w", status, err)
	}
	base, err := url.Parse(address)
	if err != nil {
		return err
	}
	w.Index = text
	list := playlists(text)
	ends := make(chan error, len(list))
	for uri := range list {
		go func() { ends <- w.play(ctx, base, uri) }()
	}
	for range list {
		err = errors.Join(err, <-ends)
	}
	w.files.Wait()
	return err
}

// playlists returns the URIs of all media playlists, each once.
func playlists(text string) map[string]bool {
	list := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if uri := attribute(line, "URI"); uri != "" {
			list[uri] = true
		} else if line != "" && line[0] != '#' {
			list[line] = true
		}
	}
	return list
}

// attribute returns the text of a quoted attribute, "" if the line has none.
func attribute(line, name string) string {
	_, rest, ok := strings.Cut(line, name+`="`)
	if !ok || !strings.HasPrefix(line, "#") {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// play follows one media playlist with blocking requests.
func (w *Watcher) play(ctx context.Context, base *url.URL, uri string) error {
	u, err := base.Parse(uri)
	if err != nil {
		return err
	}
	query := ""
	for n := 1; ; n++ {
		if n%deltaEvery == 0 && query != "" {
			query += "&_HLS_skip=YES"
		}
		next := *u
		next.RawQuery = query
		status, text, err := w.get(ctx, next.String())
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil || status != http.StatusOK:
			return fmt.Errorf("%s: status %d: %w", &next, status, err)
		}
		w.fetch(ctx, u, text)
		if strings.Contains(text, "#EXT-X-ENDLIST") {
			return nil
		}
		query = after(text)
	}
}

// after returns the query that waits for what comes after a playlist.
func after(text string) string {
	msn, parts := 0, 0
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"), strings.HasPrefix(line, "#EXT-X-SKIP:"):
			n, _ := strconv.Atoi(strings.TrimSpace(line[strings.LastIndexAny(line, ":=")+1:])) // the checker tells about others
			msn += n
		case strings.HasPrefix(line, "#EXTINF:"):
			msn, parts = msn+1, 0
		case strings.HasPrefix(line, "#EXT-X-PART:"):
			parts++
		}
	}
	query := "_HLS_msn=" + strconv.Itoa(msn)
	if strings.Contains(text, "#EXT-X-PART-INF") {
		query += "&_HLS_part=" + strconv.Itoa(parts)
	}
	return query
}

// fetch gets all files that a playlist names and that were not fetched before. The hinted part is
// waited for in the background.
func (w *Watcher) fetch(ctx context.Context, u *url.URL, text string) {
	gap := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		uri := attribute(line, "URI")
		switch {
		case line == "#EXT-X-GAP":
			gap = true
		case line == "" || strings.HasPrefix(line, "#EXT-X-RENDITION-REPORT") || strings.Contains(line, ",GAP=YES"):
		case strings.HasPrefix(line, "#EXT-X-PRELOAD-HINT"):
			w.files.Go(func() { w.file(ctx, u, uri) })
		case uri != "":
			w.file(ctx, u, uri)
		case line[0] != '#':
			if !gap {
				w.file(ctx, u, line)
			}
			gap = false
		}
	}
}

// file gets one file unless it is there.
func (w *Watcher) file(ctx context.Context, u *url.URL, uri string) {
	address, err := u.Parse(uri)
	if err != nil || !w.first(address.String()) {
		return
	}
	if status, _, err := w.get(ctx, address.String()); err != nil || status != http.StatusOK {
		w.mu.Lock()
		delete(w.fetched, address.String()) // a hint that came to nothing may come true in a playlist
		w.mu.Unlock()
	}
}

func (w *Watcher) first(address string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fetched[address] {
		return false
	}
	w.fetched[address] = true
	return true
}

// get sends a request and has its response checked.
func (w *Watcher) get(ctx context.Context, address string) (int, string, error) {
	client := w.Client
	if client == nil {
		client = http.DefaultClient
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	asked := time.Now()
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return 0, "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Checker.Add(hlscheck.Response{URL: address, Asked: asked, At: time.Now(), Status: resp.StatusCode, Header: resp.Header, Body: body})
	return resp.StatusCode, string(body), nil
}
