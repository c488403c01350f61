package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"livego/internal/flv"
	"livego/internal/rtmp"
)

// clip returns the tags of the demo clip: 8 s of H.264, 30 pictures a second and a key frame each 2
// s, and AAC. The first three are metadata and the two sequence headers.
func clip(t testing.TB) []flv.Tag {
	t.Helper()
	file, err := os.ReadFile("../demo/clip.flv")
	if err != nil {
		t.Fatal(err)
	}
	var tags []flv.Tag
	for r := flv.NewReader(bytes.NewReader(file)); ; {
		tag, err := r.ReadTag()
		if errors.Is(err, io.EOF) {
			return tags
		}
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
}

// without drops the tags of one type.
func without(tags []flv.Tag, tagType uint8) []flv.Tag {
	return slices.DeleteFunc(slices.Clone(tags), func(tag flv.Tag) bool { return tag.Type == tagType })
}

// between returns the tags from one time on, and before another, in ms, headers left out.
func between(tags []flv.Tag, from, to uint32) []flv.Tag {
	return slices.DeleteFunc(slices.Clone(tags), func(tag flv.Tag) bool {
		return isHeader(tag) || tag.TimestampMS < from || tag.TimestampMS >= to
	})
}

// isHeader knows metadata and the sequence headers of AVC and AAC (FLV E.4.2.1, E.4.3.1).
func isHeader(tag flv.Tag) bool {
	return tag.Type == flv.TypeData || len(tag.Body) > 1 && tag.Body[1] == 0
}

// isKey knows key frames of AVC (FLV E.4.3.1).
func isKey(tag flv.Tag) bool {
	return tag.Type == flv.TypeVideo && len(tag.Body) > 1 && tag.Body[0] == 0x17 && tag.Body[1] == 1
}

// encoder is a publisher.
type encoder struct {
	t      testing.TB
	client *rtmp.Client
	ended  chan error // why the server ended it
}

// publish goes on air in the room.
func publish(t testing.TB, s *testServer, room string) *encoder {
	t.Helper()
	return publishTo(t, s.url("rtmp", "rtmp", "/live/"+s.key(room)))
}

func publishTo(t testing.TB, url string) *encoder {
	t.Helper()
	e, err := tryPublish(t, url)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// tryPublish returns the server's refusal.
func tryPublish(t testing.TB, url string) (*encoder, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := rtmp.Dial(ctx, url, rtmp.ClientOptions{TLSConfig: trusting(), ReadTimeout: patience})
	if err != nil {
		return nil, err
	}
	if err := client.Publish(ctx, ""); err != nil {
		client.Close()
		return nil, err
	}
	e := &encoder{t: t, client: client, ended: make(chan error, 1)}
	go func() {
		for {
			if _, err := client.Read(); err != nil {
				e.ended <- err
				return
			}
		}
	}()
	t.Cleanup(e.lose)
	return e, nil
}

func (e *encoder) send(tags ...flv.Tag) {
	e.t.Helper()
	if err := e.trySend(tags...); err != nil {
		e.t.Fatal("publishing: ", err)
	}
}

func (e *encoder) trySend(tags ...flv.Tag) error {
	for _, tag := range tags {
		if err := e.client.Write(rtmp.Message{Type: tag.Type, TimestampMS: tag.TimestampMS, Body: tag.Body}); err != nil {
			return err
		}
	}
	return e.client.Flush()
}

// unpublish ends the stream as an encoder does that is stopped.
func (e *encoder) unpublish() {
	e.t.Helper()
	if err := e.client.Unpublish(); err != nil {
		e.t.Error(err)
	}
}

// lose breaks the connection.
func (e *encoder) lose() { e.client.Close() }

// watcher collects what a player gets.
type watcher struct {
	name string
	// header are the flags of the FLV header: 1 video, 4 audio.
	header uint8

	mu   sync.Mutex
	tags []flv.Tag
	// ended receives io.EOF at a proper end.
	ended chan error
	leave func()
}

// collect reads until the end.
func (v *watcher) collect(read func() (flv.Tag, error)) {
	for {
		tag, err := read()
		if err != nil {
			v.ended <- err
			return
		}
		v.mu.Lock()
		v.tags = append(v.tags, tag)
		v.mu.Unlock()
	}
}

func (v *watcher) got() []flv.Tag {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.tags)
}

// await waits until the viewer has got the tag's body.
func (v *watcher) await(t testing.TB, want flv.Tag) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s gets the tag of %d ms", v.name, want.TimestampMS), func() bool {
		return slices.ContainsFunc(v.got(), func(tag flv.Tag) bool { return bytes.Equal(tag.Body, want.Body) })
	})
}

// awaitEnd waits for the proper end.
func (v *watcher) awaitEnd(t testing.TB) {
	t.Helper()
	if err := receive(t, v.name+" ends", v.ended); err != io.EOF {
		t.Errorf("%s ended with %v", v.name, err)
	}
}

// watchRTMP plays live/{stream}. It need not be on air.
func watchRTMP(t testing.TB, s *testServer, stream string) *watcher {
	t.Helper()
	return watchRTMPAt(t, s.url("rtmp", "rtmp", "/live/"+stream))
}

func watchRTMPAt(t testing.TB, url string) *watcher {
	t.Helper()
	client, err := rtmp.Dial(t.Context(), url, rtmp.ClientOptions{TLSConfig: trusting(), ReadTimeout: 2 * patience})
	if err != nil {
		t.Fatal(err)
	}
	return playWith(t, client)
}

// playWith plays what the client's URL names.
func playWith(t testing.TB, client *rtmp.Client) *watcher {
	t.Helper()
	v := &watcher{name: "rtmp", ended: make(chan error, 1), leave: func() { client.Close() }}
	t.Cleanup(v.leave)
	go func() {
		if err := client.Play(context.Background(), ""); err != nil {
			v.ended <- err
			return
		}
		v.collect(func() (flv.Tag, error) {
			m, err := client.Read()
			return flv.Tag{Type: m.Type, TimestampMS: m.TimestampMS, Body: m.Body}, err
		})
	}()
	return v
}

// watchFLV plays live/{stream} over HTTP. It must be on air.
func watchFLV(t testing.TB, s *testServer, stream string) *watcher {
	t.Helper()
	return watchFLVAt(t, s.url("http", "http-flv", "/live/"+stream+".flv"))
}

func watchFLVAt(t testing.TB, url string) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := httpClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, resp.Status)
	}
	v := &watcher{name: "http-flv", ended: make(chan error, 1), leave: cancel}
	r := flv.NewReader(resp.Body)
	go func() {
		defer resp.Body.Close()
		v.collect(v.withFlags(r))
	}()
	return v
}

// withFlags reads tags and notes the flags of the header first.
func (v *watcher) withFlags(r *flv.Reader) func() (flv.Tag, error) {
	return func() (flv.Tag, error) {
		if err := r.ReadHeader(); err != nil {
			return flv.Tag{}, err
		}
		v.mu.Lock()
		v.header = 0
		if r.Video {
			v.header |= 1
		}
		if r.Audio {
			v.header |= 4
		}
		v.mu.Unlock()
		return r.ReadTag()
	}
}

// flags waits for the flags of the FLV header.
func (v *watcher) flags(t testing.TB) (flags uint8) {
	t.Helper()
	eventually(t, v.name+" gets an FLV header", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		flags = v.header
		return flags != 0
	})
	return flags
}

// errClosedBy is the end of a WebSocket without the status for a normal one.
var errClosedBy = errors.New("websocket closed")

// watchWS plays live/{stream} over a WebSocket. It must be on air.
func watchWS(t testing.TB, s *testServer, stream string) *watcher {
	t.Helper()
	return watchWSAt(t, s.url("ws", "http-flv", "/live/"+stream+".flv"))
}

func watchWSAt(t testing.TB, url string) *watcher {
	t.Helper()
	dialer := ws.Dialer{TLSConfig: trusting()}
	nc, buffered, _, err := dialer.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	v := &watcher{name: "ws-flv", ended: make(chan error, 1), leave: func() { nc.Close() }}
	t.Cleanup(v.leave)
	var in io.Reader = nc
	if buffered != nil {
		in = io.MultiReader(buffered, nc)
	}
	// Every frame holds the file header or one whole tag, so frames in a row are a file.
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(unframe(nc, in, pw)) }()
	go v.collect(v.withFlags(flv.NewReader(pr)))
	return v
}

func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// unframe copies binary frames to w, one Write each, until the server closes as it should: io.EOF.
func unframe(nc net.Conn, in io.Reader, w io.Writer) error {
	for n := 0; ; n++ {
		frame, err := readFrame(in)
		if err != nil {
			return fmt.Errorf("reading a frame: %w", err)
		}
		switch frame.Header.OpCode {
		case ws.OpBinary:
			if frame.Header.Masked || !frame.Header.Fin || frame.Header.Rsv != 0 {
				return fmt.Errorf("frame header %+v", frame.Header)
			}
			if p := frame.Payload; n > 0 && (len(p) < 15 || len(p) != 15+int(p[1])<<16+int(p[2])<<8+int(p[3])) {
				return fmt.Errorf("frame %d of %d bytes is not one tag", n, len(p))
			}
			if _, err := w.Write(frame.Payload); err != nil {
				return err
			}
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(frame.Payload)
			if code != ws.StatusNormalClosure {
				return fmt.Errorf("%w: %d %s", errClosedBy, code, reason)
			}
			// RFC 6455 §5.5.1: answer, and then the server closes the connection.
			if _, err := nc.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewCloseFrame(frame.Payload)))); err != nil {
				return fmt.Errorf("answering the close frame: %w", err)
			}
			if n, err := io.Copy(io.Discard, in); n > 0 || err != nil {
				return fmt.Errorf("%d bytes and %w after the close frame", n, err)
			}
			return io.EOF
		}
	}
}

// awaitAll waits until all watchers have got the tag's body.
func awaitAll(t testing.TB, watchers []*watcher, want flv.Tag) {
	t.Helper()
	for _, w := range watchers {
		w.await(t, want)
	}
}

// awaitPlayers waits until the stream has so many players on the list.
func awaitPlayers(t testing.TB, s *testServer, stream string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d players of %s are listed", n, stream), func() bool {
		players := 0
		for _, session := range s.Sessions() {
			if !session.Publisher && session.Key == "live/"+stream {
				players++
			}
		}
		return players == n
	})
}

// awaitPublishers does the same for publishers.
func awaitPublishers(t testing.TB, s *testServer, stream string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d publishers of %s are listed", n, stream), func() bool {
		publishers := 0
		for _, session := range s.Sessions() {
			if session.Publisher && session.Key == "live/"+stream {
				publishers++
			}
		}
		return publishers == n
	})
}
