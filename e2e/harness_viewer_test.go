package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/hls/hlscheck"
)

func (s *server) indexURL(stream string) string {
	return "http://" + s.hls + "/live/" + stream + "/index.m3u8"
}

// llViewer plays Low-Latency HLS as the draft's clients do, all renditions at once: it reloads
// playlists with blocking requests, every other time as a delta, asks for hinted parts before they
// are there, and for each whole segment later. It keeps all that it got.
type llViewer struct {
	index string
	// observe, if there is one, sees every response in the order in which they came.
	observe func(hlscheck.Response)

	observing sync.Mutex

	client *http.Client
	ctx    context.Context
	leave  context.CancelFunc
	tasks  sync.WaitGroup

	mutex      sync.Mutex
	last       multivariant
	renditions map[string]*llRendition // by the address of the playlist
	problems   []string
}

// llRendition is what came of one rendition.
type llRendition struct {
	address  string
	segments map[int]*llMedia
	list     llPlaylist
	loads    int
	ended    bool
}

// llMedia is a segment by its parts and as a whole.
type llMedia struct {
	llSegment
	pieces [][]byte
	whole  []byte
	head   []byte // the init segment
	// late: the playlist that had its end listed its parts no more, so that the viewer does not
	// know them all. It was three target durations behind, on a busy machine.
	late bool
}

// watchLL watches until the playlists end or the test does, and must find the stream within 20 s.
func watchLL(t testing.TB, index string, observe func(hlscheck.Response)) *llViewer {
	t.Helper()
	v := &llViewer{index: index, observe: observe, client: &http.Client{Timeout: 30 * time.Second}, renditions: map[string]*llRendition{}}
	v.ctx, v.leave = context.WithCancel(context.Background())
	t.Cleanup(func() {
		v.leave()
		v.tasks.Wait()
		v.client.CloseIdleConnections()
	})
	eventually(t, 20*time.Second, "a multivariant playlist", func() bool { return v.reloadIndex() })
	return v
}

// reloadIndex loads the multivariant playlist, begins to follow what is new in it, and says whether
// it was there.
func (v *llViewer) reloadIndex() bool {
	status, body := v.get(v.index)
	if status != http.StatusOK {
		return false
	}
	list, err := parseMultivariant(v.index, string(body))
	if err != nil {
		v.problem("%s: %v", v.index, err)
		return true
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.last = list
	for _, address := range list.playlists() {
		if v.renditions[address] == nil {
			r := &llRendition{address: address, segments: map[int]*llMedia{}}
			v.renditions[address] = r
			v.tasks.Go(func() { v.follow(r) })
		}
	}
	return true
}

// get fetches one address. A status of 0 means that there was no answer.
func (v *llViewer) get(address string) (int, []byte) {
	r, err := http.NewRequestWithContext(v.ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil
	}
	asked := time.Now()
	answer, err := v.client.Do(r)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}
	if v.observe != nil {
		v.observing.Lock()
		defer v.observing.Unlock()
		v.observe(hlscheck.Response{URL: address, Asked: asked, At: time.Now(), Status: answer.StatusCode, Header: answer.Header, Body: body})
	}
	return answer.StatusCode, body
}

// follow reloads a media playlist until it ends, the viewer leaves or the playlist is gone.
func (v *llViewer) follow(r *llRendition) {
	address := r.address
	hinted := map[string]chan []byte{}
	for v.ctx.Err() == nil {
		status, body := v.get(address)
		if status == 0 && v.ctx.Err() == nil && v.restarting(r) {
			continue
		}
		if status != http.StatusOK {
			if v.ctx.Err() == nil {
				v.problem("%s answers %d %.200s", address, status, body)
			}
			return
		}
		list, err := parseLL(r.address, string(body))
		if err != nil {
			v.problem("%s: %v", address, err)
			return
		}
		if !v.take(r, list, hinted) {
			return
		}
		if list.ended {
			v.mutex.Lock()
			r.ended = true
			v.mutex.Unlock()
			return
		}
		sequence, part := list.next()
		query := url.Values{"_HLS_msn": {fmt.Sprint(sequence)}, "_HLS_part": {fmt.Sprint(part)}}
		if r.loads%2 == 1 && list.control["CAN-SKIP-UNTIL"] != "" {
			query.Set("_HLS_skip", "YES")
		}
		address = r.address + "?" + query.Encode()
	}
}

// restarting waits while the server is away and says whether it is back.
func (v *llViewer) restarting(r *llRendition) bool {
	return waitUntil(15*time.Second, func() bool {
		status, _ := v.get(r.address)
		return status == http.StatusOK || v.ctx.Err() != nil
	})
}

// take fetches what is new in a playlist, and asks for the hinted part.
func (v *llViewer) take(r *llRendition, list llPlaylist, hinted map[string]chan []byte) bool {
	if list.hint != "" && hinted[list.hint] == nil {
		answer := make(chan []byte, 1)
		hinted[list.hint] = answer
		v.tasks.Go(func() {
			_, data := v.getMedia(list.hint)
			answer <- data
		})
	}
	for _, next := range list.segments {
		if !v.takeSegment(r, next, hinted) {
			return false
		}
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	r.list = list
	r.loads++
	return true
}

// getMedia fetches a part, segment or init segment. What fails gives nil.
func (v *llViewer) getMedia(address string) (int, []byte) {
	status, data := v.get(address)
	if status != http.StatusOK {
		return status, nil
	}
	return status, data
}

func (v *llViewer) takeSegment(r *llRendition, next llSegment, hinted map[string]chan []byte) bool {
	v.mutex.Lock()
	media, before := r.segments[next.sequence], r.segments[next.sequence-1]
	v.mutex.Unlock()
	if media == nil {
		media = &llMedia{}
	}
	if media.whole != nil || next.gap {
		return true
	}
	update := llMedia{llSegment: next, pieces: slices.Clone(media.pieces), head: media.head}
	if len(next.parts) == 0 {
		update.parts, update.late = media.parts, true
	}
	if update.head == nil && next.init == "" && before != nil {
		update.head = before.head // a delta update leaves the tag out
	}
	if update.head == nil {
		update.head = v.mustGet(next.init)
	}
	for _, part := range next.parts[min(len(update.pieces), len(next.parts)):] {
		update.pieces = append(update.pieces, v.piece(part.address, hinted))
	}
	if next.address != "" {
		update.whole = v.mustGet(next.address)
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	r.segments[next.sequence] = &update
	return v.ctx.Err() == nil
}

// piece gives a part, by what was asked for when it was a hint.
func (v *llViewer) piece(address string, hinted map[string]chan []byte) []byte {
	if answer := hinted[address]; answer != nil {
		data := <-answer
		hinted[address] = make(chan []byte, 1) // asked for once
		if data != nil {
			return data
		}
		if v.ctx.Err() == nil {
			v.problem("the hinted part %s did not come", address)
		}
	}
	return v.mustGet(address)
}

func (v *llViewer) mustGet(address string) []byte {
	status, data := v.getMedia(address)
	if data == nil && v.ctx.Err() == nil {
		v.problem("%s answers %d", address, status)
	}
	return data
}

func (v *llViewer) problem(format string, arguments ...any) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if text := fmt.Sprintf(format, arguments...); !slices.Contains(v.problems, text) && len(v.problems) < 20 {
		v.problems = append(v.problems, text)
	}
}

// waitEnd waits for ENDLIST in all playlists.
func (v *llViewer) waitEnd(t testing.TB, limit time.Duration) {
	t.Helper()
	ended := make(chan struct{})
	go func() { v.tasks.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(slack * limit):
		t.Fatal("Low-Latency HLS: no ENDLIST")
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for address, r := range v.renditions {
		if !r.ended {
			t.Errorf("%s did not end", address)
		}
	}
}

// waitSegments waits until n segments more than now came whole in each rendition.
func (v *llViewer) waitSegments(t testing.TB, n int, limit time.Duration) {
	t.Helper()
	count := func() (fewest int) {
		v.mutex.Lock()
		defer v.mutex.Unlock()
		fewest = -1
		for _, r := range v.renditions {
			whole := 0
			for _, media := range r.segments {
				if media.whole != nil {
					whole++
				}
			}
			if fewest < 0 || whole < fewest {
				fewest = whole
			}
		}
		return fewest
	}
	want := count() + n
	eventually(t, limit, fmt.Sprintf("%d segments more", n), func() bool { return count() >= want })
}

// verify reports what went wrong, and compares the parts of each segment with the whole.
func (v *llViewer) verify(t testing.TB) {
	t.Helper()
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for _, problem := range v.problems {
		t.Errorf("Low-Latency HLS: %s", problem)
	}
	for address, r := range v.renditions {
		compared := 0
		for _, media := range r.segments {
			if len(media.parts) == 0 || media.whole == nil || media.late {
				continue
			}
			compared++
			if !bytes.Equal(bytes.Join(media.pieces, nil), media.whole) {
				t.Errorf("%s: the %d parts of segment %d are %d bytes, the segment has %d", address, len(media.pieces), media.sequence, len(bytes.Join(media.pieces, nil)), len(media.whole))
			}
		}
		if compared == 0 {
			t.Errorf("%s: no segment with parts came", address)
		}
	}
}

// named returns a rendition by the end of its playlist's name: v0, a0, 720p.v0.
func (v *llViewer) named(t testing.TB, name string) *llRendition {
	t.Helper()
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for address, r := range v.renditions {
		if strings.HasSuffix(address, "/index-"+name+".m3u8") {
			return r
		}
	}
	t.Fatalf("no rendition %s in %v", name, slices.Sorted(maps.Keys(v.renditions)))
	return nil
}

// units reads the segments of all renditions whose publication has no name, in order, and the
// codecs by their sample entries.
func (v *llViewer) units(t testing.TB, publication string) (units []unit, entries []string) {
	t.Helper()
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for _, address := range slices.Sorted(maps.Keys(v.renditions)) {
		name := strings.TrimSuffix(address[strings.LastIndex(address, "/index-")+len("/index-"):], ".m3u8")
		if prefix, _, named := strings.Cut(name, "."); named != (publication != "") || named && prefix != publication {
			continue
		}
		r := v.renditions[address]
		for _, sequence := range slices.Sorted(maps.Keys(r.segments)) {
			media := r.segments[sequence]
			track, err := readInit(media.head)
			if err != nil {
				t.Fatalf("init segment of %s %d: %v", name, sequence, err)
			}
			samples, err := track.readFragments(media.whole)
			if err != nil {
				t.Errorf("segment %s %d: %v", name, sequence, err)
			}
			if !slices.Contains(entries, track.entry) {
				entries = append(entries, track.entry)
			}
			units = append(units, track.units(samples)...)
		}
	}
	return units, entries
}
