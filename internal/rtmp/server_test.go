package rtmp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/amf"
)

// The answer to connect, byte for byte from §5.4 and §7.2.1.1 and AMF0.
func TestConnectAnswer(t *testing.T) {
	client, done := serve(t, &testHandler{}, ServerOptions{Version: "1.0"})
	p := newPeer(t, client)
	p.command(0, "connect", 7, amf.Object{{Name: "app", Value: "live"}})
	amfString := func(s string) string { return fmt.Sprintf("%04x%x", len(s), s) }
	number := func(f float64) string { return fmt.Sprintf("00%016x", math.Float64bits(f)) }
	text := func(s string) string { return "02" + amfString(s) }
	forward := "03" + amfString("*") + number(4) + "000009"
	body := text("_result") + number(7) +
		"03" + amfString("fmsVer") + text("livego/1.0") +
		amfString("capabilities") + number(31) +
		amfString("capsEx") + number(2+4+8) + // Multitrack, ModEx, TimestampNanoOffset
		amfString("fourCcList") + "0a00000001" + text("*") +
		amfString("videoFourCcInfoMap") + forward +
		amfString("audioFourCcInfoMap") + forward + "000009" +
		"03" + amfString("level") + text("status") +
		amfString("code") + text("NetConnection.Connect.Success") +
		amfString("description") + text("Connection succeeded.") +
		amfString("objectEncoding") + number(0) + "000009"
	want := fromHex(t, `02 000000 000004 05 00000000 002625a0
		02 000000 000005 06 00000000 002625a0 02
		02 000000 000004 01 00000000 0000ea60
		03 000000 `+fmt.Sprintf("%06x", len(body)/2)+` 14 00000000 `+body)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "answer", want, got)
	client.Close()
	if err := <-done; err != io.EOF {
		t.Errorf("Serve: %v, want %v", err, io.EOF)
	}
}

func TestConnectRequest(t *testing.T) {
	for _, tc := range []struct {
		name   string
		object any
		want   ConnectRequest
	}{
		{"full", amf.Object{
			{Name: "app", Value: "live"}, {Name: "tcUrl", Value: "rtmp://h/live"}, {Name: "flashVer", Value: "v"}, {Name: "objectEncoding", Value: 3},
			{Name: "capsEx", Value: 3}, {Name: "fourCcList", Value: amf.StrictArray{"av01", 5, "hvc1"}},
			{Name: "videoFourCcInfoMap", Value: amf.ECMAArray{{Name: "av01", Value: 1}, {Name: "x", Value: "y"}}},
		}, ConnectRequest{App: "live", TCURL: "rtmp://h/live", FlashVer: "v", CapsEx: 3}},
		{"slashes and query", amf.Object{{Name: "app", Value: "live//?token=1&x=/"}}, ConnectRequest{App: "live", Query: "token=1&x=/"}},
		{"app with a path", amf.Object{{Name: "app", Value: "live/a"}}, ConnectRequest{App: "live/a"}},
		// Defect 13: the app is what the client says it is, whatever tcUrl says.
		{"tcUrl of another app", amf.Object{{Name: "app", Value: "live"}, {Name: "tcUrl", Value: "rtmp://x/other"}}, ConnectRequest{App: "live", TCURL: "rtmp://x/other"}},
		{"app is null", amf.Object{{Name: "app", Value: nil}}, ConnectRequest{}},
		{"wrong types", amf.Object{{Name: "app", Value: "live"}, {Name: "flashVer", Value: nil}, {Name: "tcUrl", Value: 1}, {Name: "capsEx", Value: true}}, ConnectRequest{App: "live"}},
		{"no object", nil, ConnectRequest{}},
		{"a number for the object", 5, ConnectRequest{}},
		{"ECMA array", amf.ECMAArray{{Name: "app", Value: "live"}}, ConnectRequest{App: "live"}},
		{"long texts", amf.Object{
			{Name: "app", Value: "live?" + strings.Repeat("x", 5000)}, {Name: "tcUrl", Value: "rtmp://" + strings.Repeat("x", 5000)}, {Name: "flashVer", Value: strings.Repeat("x", 127) + "é"},
		}, ConnectRequest{App: "live", Query: strings.Repeat("x", 4091), TCURL: "rtmp://" + strings.Repeat("x", 505), FlashVer: strings.Repeat("x", 127) + "\uFFFD"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &testHandler{}
			client, done := serve(t, h, ServerOptions{})
			p := newPeer(t, client)
			p.command(0, "connect", 1, tc.object)
			p.expectCommand("_result")
			client.Close()
			<-done
			got := *h.connected[0]
			if got.RemoteAddr.String() != client.LocalAddr().String() {
				t.Errorf("remote address %v", got.RemoteAddr)
			}
			got.RemoteAddr, got.conn = nil, nil
			wantEqual(t, "request", fmt.Sprintf("%+v", tc.want), fmt.Sprintf("%+v", got))
		})
	}
}

// TestStandstill: who could not send because this process did not run gets its time again.
func TestStandstill(t *testing.T) {
	client, server := loopback(t)
	c := newServerConn(server, &ServerOptions{ReadTimeout: time.Minute}, &testHandler{})
	c.setReadDeadline(time.Now().Add(-2 * standstill))
	if _, err := client.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4)
	if n, err := io.ReadFull(progressReader{c}, p); err != nil || string(p) != "late" {
		t.Errorf("read %q, %v", p[:n], err)
	}
	if left := time.Until(c.deadline); left < time.Second {
		t.Errorf("%v left to send more", left)
	}
	c.interrupt(io.ErrClosedPipe)
	if _, err := (progressReader{c}).Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection that is to end: %v", err)
	}
}

// TestConnectIsNotKept: what a client says in connect and in play stays as long as the connection,
// so it must be little.
func TestConnectIsNotKept(t *testing.T) {
	var list amf.StrictArray
	var infos amf.Object
	for i := range 400 {
		list = append(list, fmt.Sprintf("%040d", i))
		infos = append(infos, amf.Property{Name: fmt.Sprintf("%040d", i), Value: 4})
	}
	big := amf.Object{
		{Name: "app", Value: "live"}, {Name: "tcUrl", Value: strings.Repeat("x", 10<<10)}, {Name: "flashVer", Value: strings.Repeat("x", 10<<10)},
		{Name: "fourCcList", Value: list}, {Name: "videoFourCcInfoMap", Value: infos},
	}
	h := &testHandler{}
	before := heapInUse()
	const clients = 20
	for range clients {
		client, _ := serve(t, h, ServerOptions{})
		p := newPeer(t, client)
		p.command(0, "connect", 1, big)
		p.expectCommand("_result")
		p.command(1, "play", 2, nil, "movie?"+strings.Repeat("x", maxText-6))
		p.command(0, "createStream", 3, nil)
		p.expectCommand("_result")
	}
	each := (heapInUse() - before) / clients
	t.Logf("%d bytes for a client", each)
	if each > 40<<10 { // of which the peer and its reader take the most
		t.Errorf("%d bytes for a client that is connected", each)
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestLongNames(t *testing.T) {
	for command, code := range map[string]string{"play": CodePlayFailed, "publish": CodePublishBadName} {
		client, done := serve(t, &testHandler{}, ServerOptions{})
		p := connectedPeer(t, client)
		p.command(1, command, 2, nil, strings.Repeat("x", maxText+1))
		p.expectStatus(1, code)
		p.expectEnd()
		client.Close()
		<-done
	}
}

// Defect 5e.
func TestAppThatIsNoText(t *testing.T) {
	client, done := serve(t, &testHandler{}, ServerOptions{})
	p := newPeer(t, client)
	p.command(0, "connect", 1, amf.Object{{Name: "app", Value: 5}})
	p.expectCommand("_error")
	p.expectEnd()
	client.Close()
	<-done
}

// Media on a message stream that does not publish is told of once, whatever comes.
func TestStrayMedia(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(1, "publish", 2, nil, "key")
	p.expectStatus(1, "NetStream.Publish.Start")
	for range 3 {
		p.send(TypeVideo, 6, 5, []byte{0x17})
		p.send(TypeAudio, 4, 7, []byte{0xaf})
	}
	p.send(TypeVideo, 6, 1, []byte{0x27})
	p.command(0, "createStream", 3, nil)
	p.expectCommand("_result")
	client.Close()
	<-done
	if got := h.publication(0).received(); len(got) != 1 || len(h.strays) != 1 || h.strays[0] != "9 on 5" {
		t.Errorf("received %v, heard of %v", got, h.strays)
	}
}

// Who publishes on message stream 0 may send its media to another.
func TestPublishOnStreamZero(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.publish(0, "key")
	p.send(TypeVideo, 6, 1, []byte{0x17})
	p.send(TypeVideo, 6, 0, []byte{0x27})
	p.command(0, "createStream", 3, nil)
	p.expectCommand("_result")
	client.Close()
	<-done
	if got := h.publication(0).received(); len(got) != 2 || len(h.strays) != 0 {
		t.Errorf("received %v, heard of %v", got, h.strays)
	}
}

// Decision 33: _error with the transaction of connect, then the end.
func TestConnectRefused(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code string
	}{
		{&StatusError{Code: CodeConnectRejected, Description: strings.Repeat("long ", 100)}, CodeConnectRejected},
		{fmt.Errorf("no database: %w", io.ErrClosedPipe), "NetConnection.Connect.Failed"},
	} {
		h := &testHandler{connect: func(*ConnectRequest) error { return tc.err }}
		client, done := serve(t, h, ServerOptions{})
		p := newPeer(t, client)
		p.command(0, "connect", 4, amf.Object{{Name: "app", Value: "other"}})
		_, values := p.expectCommand("_error")
		info := amf.Properties(values[3])
		if values[1] != 4.0 || info.String("code") != tc.code || info.String("level") != "error" {
			t.Errorf("answer %v", values)
		}
		if strings.Contains(fmt.Sprint(values), "database") {
			t.Errorf("answer %v tells what is nobody's business", values)
		}
		p.expectEnd()
		client.Close()
		if err := <-done; !errors.Is(err, tc.err) {
			t.Errorf("Serve: %v, want %v", err, tc.err)
		}
	}
}

func TestPublish(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.command(0, "releaseStream", 2, nil, "key?a=b")
	_, values := p.expectCommand("_result")
	wantEqual(t, "releaseStream", []any{"_result", 2.0, nil, amf.Undefined{}}, values)
	p.command(0, "FCPublish", 3, nil, "key?a=b")
	p.expectCommand("_result")
	p.command(0, "createStream", 4, nil)
	_, values = p.expectCommand("_result")
	wantEqual(t, "createStream", []any{"_result", 4.0, nil, 1.0}, values)
	p.command(1, "publish", 5, nil, "key?a=b", "live")
	begin := p.expectMessage(typeUserControl)
	wantEqual(t, "StreamBegin", []byte{0, 0, 0, 0, 0, 1}, begin.Body)
	_, values = p.expectCommand("onFCPublish")
	wantEqual(t, "onFCPublish", "NetStream.Publish.Start", amf.Properties(values[3]).String("code"))
	if level := p.expectStatus(1, "NetStream.Publish.Start"); level != "status" {
		t.Errorf("level %q", level)
	}
	r := h.published[0]
	if r.Name != "key" || r.ConnectRequest != h.connected[0] || r.Query != "a=b" || r.Type != "live" || r.StreamID != 1 || r.App != "live" {
		t.Errorf("request %+v", r)
	}

	want := []Message{
		{TypeDataAMF0, 1, 0, amf.Append(nil, "@setDataFrame", "onMetaData", amf.ECMAArray{})},
		{TypeVideo, 1, 0, []byte{0x17, 0}},
		{TypeAudio, 1, 0, []byte{}},                         // defect 23
		{TypeDataAMF0, 1, 0, amf.Append(nil, 5)},            // defect 24
		{TypeDataAMF3, 1, 0, []byte{0, 5}},                  // defect 24
		{TypeVideo, 1, 0, bytes.Repeat([]byte{7}, 600_000)}, // defect 25
		{TypeAudio, 0, 0, []byte{1}},                        // stream 0 is the only one
	}
	p.setChunkSize(65536)
	for _, m := range want {
		p.send(m.Type, 6, m.StreamID, m.Body)
	}
	p.send(TypeAudio, 6, 9, []byte{1}) // of no stream
	client.Close()
	cause, err := h.publication(0).closedOnce(t, done)
	if cause != io.EOF || err != io.EOF {
		t.Errorf("closed with %v, Serve %v, want %v", cause, err, io.EOF)
	}
	wantEqual(t, "messages", "", diffMessages(want, h.publication(0).received()))
}

// Defect 51, decision 33: no acceptance before the refusal, and the refusal arrives though the
// client is already sending.
func TestPublishRefused(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code string
	}{
		{&StatusError{Code: CodePublishDenied, Description: "Unknown key."}, CodePublishDenied},
		{&StatusError{Code: CodePublishBadName, Level: "error", Err: io.ErrShortBuffer}, CodePublishBadName},
		{errors.New("store is down"), "NetStream.Failed"},
	} {
		h := &testHandler{publish: func(*PublishRequest) error { return tc.err }}
		client, done := serve(t, h, ServerOptions{})
		p := connectedPeer(t, client)
		p.command(0, "FCPublish", 3, nil, "key")
		p.expectCommand("_result")
		p.command(1, "publish", 5, nil, "key", "live")
		p.send(TypeVideo, 6, 1, make([]byte, 100_000)) // a client that does not wait for the answer
		if level := p.expectStatus(1, tc.code); level != "error" {
			t.Errorf("level %q", level)
		}
		p.expectEnd()
		client.Close()
		if err := <-done; !errors.Is(err, tc.err) {
			t.Errorf("Serve: %v, want %v", err, tc.err)
		}
	}
}

func TestUnpublish(t *testing.T) {
	for _, tc := range []struct {
		name   string
		end    func(p *peer)
		answer []string
	}{
		{"FCUnpublish", func(p *peer) { p.command(0, "FCUnpublish", 6, nil, "key?a=b") }, []string{"onFCUnpublish", "_result", "onStatus"}},
		{"FCUnpublish without query", func(p *peer) { p.command(0, "FCUnpublish", 0, nil, "key") }, []string{"onFCUnpublish", "onStatus"}},
		{"FCUnpublish of another name", func(p *peer) { p.command(0, "FCUnpublish", 0, nil, "other") }, []string{"onFCUnpublish", "onStatus"}},
		{"closeStream", func(p *peer) { p.command(1, "closeStream", 0, nil) }, []string{"onStatus"}},
		{"deleteStream", func(p *peer) { p.command(0, "deleteStream", 0, nil, 1) }, nil},
		{"deleteStream on the stream", func(p *peer) { p.command(1, "deleteStream", 0, nil) }, nil},
		{"publish(false)", func(p *peer) { p.command(1, "publish", 0, nil, false) }, []string{"onStatus"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &testHandler{}
			client, done := serve(t, h, ServerOptions{})
			p := connectedPeer(t, client)
			p.publish(1, "key?a=b")
			p.send(TypeAudio, 4, 1, []byte{1})
			tc.end(p)
			if cause := waitFor(t, "end", h.publication(0).closed); cause != ErrUnpublished {
				t.Fatalf("closed with %v, want %v", cause, ErrUnpublished)
			}
			for _, name := range tc.answer {
				p.expectCommand(name)
			}
			// The connection goes on, what was meant for the old publication does not reach it.
			p.send(TypeAudio, 4, 1, []byte{2})
			p.publish(1, "key2")
			p.send(TypeAudio, 4, 1, []byte{3})
			client.Close()
			<-done
			wantEqual(t, "first", []Message{{TypeAudio, 1, 0, []byte{1}}}, h.publication(0).received())
			wantEqual(t, "second", []Message{{TypeAudio, 1, 0, []byte{3}}}, h.publication(1).received())
		})
	}
}

func TestSeveralPublications(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	for i := range 3 {
		p.command(0, "createStream", 2, nil)
		_, values := p.expectCommand("_result")
		wantEqual(t, "stream id", float64(i+1), values[3].(float64))
		p.publish(uint32(i+1), fmt.Sprint("key", i+1))
	}
	for id := uint32(1); id <= 3; id++ {
		p.send(TypeVideo, 6, id, []byte{byte(id)})
	}
	p.send(TypeVideo, 6, 0, []byte{9}) // could be any
	p.command(0, "FCUnpublish", 0, nil, "key2")
	if cause := waitFor(t, "end", h.publication(1).closed); cause != ErrUnpublished {
		t.Errorf("second closed with %v", cause)
	}
	p.command(0, "FCUnpublish", 0, nil, "other")
	p.send(TypeVideo, 6, 3, []byte{33})
	p.expectCommand("onFCUnpublish")
	p.expectStatus(2, "NetStream.Unpublish.Success")
	client.Close()
	<-done
	for i, want := range [][]byte{{1}, {2}, {3, 33}} {
		var got []byte
		for _, m := range h.publication(i).received() {
			got = append(got, m.Body...)
		}
		wantEqual(t, fmt.Sprint("publication ", i), want, got)
	}
	for _, i := range []int{0, 2} {
		if cause := <-h.publication(i).closed; cause != io.EOF {
			t.Errorf("publication %d closed with %v", i, cause)
		}
	}
}

// A second publish on a message stream takes nothing off the air: encoders that saw no answer in
// time say it again.
func TestPublishTwiceOnOneStream(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.publish(1, "a?b=c")
	p.command(1, "publish", 0, nil, "b")
	p.expectStatus(1, CodePublishBadName)
	p.command(1, "publish", 0, nil, "a?b=c")
	p.expectStatus(1, "NetStream.Publish.Start")
	p.send(TypeAudio, 6, 1, []byte{1})
	client.Close()
	cause, _ := h.publication(0).closedOnce(t, done)
	if got := h.publication(0).received(); cause != io.EOF || len(got) != 1 || len(h.published) != 1 {
		t.Errorf("closed with %v after %d messages, %d times published", cause, len(got), len(h.published))
	}
}

func TestTooManyPublications(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	for id := range uint32(maxPublications) {
		p.publish(id+1, "a")
	}
	p.command(maxPublications+1, "publish", 0, nil, "b")
	p.expectStatus(maxPublications+1, CodePublishDenied)
	client.Close()
	<-done
}

// Takeover and revoked keys: the publisher is told why, from another goroutine.
func TestCloseFromOutside(t *testing.T) {
	reason := errors.New("replaced")
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.publish(3, "key")
	p.send(TypeVideo, 6, 3, make([]byte, 50_000))
	r := h.published[0]
	for range 3 {
		go r.Close(&StatusError{Code: CodePublishBadName, Description: "Another encoder took over.", Err: reason})
	}
	if level := p.expectStatus(3, CodePublishBadName); level != "error" {
		t.Errorf("level %q", level)
	}
	p.send(TypeVideo, 6, 3, make([]byte, 50_000)) // it has not noticed yet
	p.expectEnd()
	client.Close()
	cause, err := h.publication(0).closedOnce(t, done)
	if !errors.Is(cause, reason) || !errors.Is(err, reason) {
		t.Errorf("closed with %v, Serve %v", cause, err)
	}
	r.Close(&StatusError{}) // harmless afterwards
}

func TestPublicationError(t *testing.T) {
	h := &testHandler{message: func(Message) error { return &StatusError{Code: CodePublishDenied, Description: "Not this codec."} }}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.publish(1, "key")
	p.send(TypeVideo, 6, 1, []byte{1})
	p.expectStatus(1, CodePublishDenied)
	client.Close()
	cause, err := h.publication(0).closedOnce(t, done)
	var status *StatusError
	if !errors.As(err, &status) || !errors.As(cause, &status) {
		t.Errorf("closed with %v, Serve %v", cause, err)
	}
}

func TestContextEndsServe(t *testing.T) {
	for name, cause := range map[string]error{
		"plain": errors.New("going down"), "status": &StatusError{Code: CodeConnectAppShutdown, Level: "error"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &testHandler{}
			ctx, cancel := context.WithCancelCause(t.Context())
			client, done := serveContext(t, ctx, h, ServerOptions{})
			p := connectedPeer(t, client)
			p.publish(1, "key")
			cancel(cause)
			if name == "status" {
				p.expectStatus(0, CodeConnectAppShutdown)
			}
			p.expectEnd()
			client.Close()
			closed, err := h.publication(0).closedOnce(t, done)
			if closed != cause || err != cause {
				t.Errorf("closed with %v, Serve %v, want %v", closed, err, cause)
			}
		})
	}
}

// pipe runs Serve in a bubble of fake time. What the server sends is thrown away after the
// handshake and connect.
func pipe(t *testing.T, h Handler, opt ServerOptions) (p *peer, done <-chan error) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close() })
	result := make(chan error, 1)
	go func() { result <- Serve(t.Context(), server, opt, h) }()
	p = connectedPeer(t, client)
	go io.Copy(io.Discard, client)
	return p, result
}

// Defect 9.
func TestTimeoutBeforePublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, done := pipe(t, &testHandler{}, ServerOptions{})
		start := time.Now()
		for range 9 { // talking does not help
			time.Sleep(time.Second)
			p.command(0, "createStream", 2, nil)
		}
		if err := <-done; !errors.Is(err, ErrTimeout) {
			t.Errorf("Serve: %v, want %v", err, ErrTimeout)
		}
		wantEqual(t, "time", 10*time.Second+lastLook, time.Since(start))
	})
}

// TestPublisherWhoseBytesWait: where nobody read in time, as this process was stopped, what waits
// counts, and a message that is not whole yet may become so.
func TestPublisherWhoseBytesWait(t *testing.T) {
	for _, stall := range []time.Duration{10*time.Second + time.Millisecond, 11*time.Second + 600*time.Millisecond, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			h := &testHandler{}
			p, done := pipe(t, h, ServerOptions{})
			h.message = func(Message) error { time.Sleep(stall); return nil }
			p.command(1, "publish", 3, nil, "key")
			for range 3 {
				p.send(TypeVideo, 6, 1, make([]byte, 3*progressBytes/2))
			}
			start := time.Now()
			if err := <-done; !errors.Is(err, ErrTimeout) {
				t.Errorf("Serve: %v, want %v", err, ErrTimeout)
			}
			if took := time.Since(start); took > 3*stall+21*time.Second {
				t.Errorf("a silent publisher was closed after %v", took)
			}
			if got := len(h.publication(0).received()); got != 3 {
				t.Errorf("after a stall of %v: %d messages", stall, got)
			}
		})
	}
}

// TestTrickleAtTheDeadline: a byte at the right moment does not help.
func TestTrickleAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, done := pipe(t, &testHandler{}, ServerOptions{})
		start := time.Now()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			for {
				if _, err := p.nc.Write([]byte{0}); err != nil {
					return
				}
				time.Sleep(lastLook / 2)
			}
		}()
		if err := <-done; !errors.Is(err, ErrTimeout) {
			t.Errorf("Serve: %v", err)
		}
		<-gone
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestTimeoutOfSilentPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &testHandler{}
		p, done := pipe(t, h, ServerOptions{ReadTimeout: 5 * time.Second})
		p.command(1, "publish", 0, nil, "key")
		for range 10 {
			time.Sleep(4 * time.Second)
			p.send(TypeAudio, 4, 1, []byte{1})
		}
		start := time.Now()
		for range 4 { // one byte of a message each second is silence too
			time.Sleep(time.Second)
			p.write(fromHex(t, "42 000000 000004 03 00000000"))
		}
		cause, err := h.publication(0).closedOnce(t, done)
		if !errors.Is(cause, ErrTimeout) || !errors.Is(err, ErrTimeout) {
			t.Errorf("closed with %v, Serve %v", cause, err)
		}
		wantEqual(t, "time", 5*time.Second+5*time.Second/deadlineSteps+lastLook, time.Since(start))
	})
}

// The deadline moves in steps: a publisher that talks all the time has the whole time from its last
// word on.
func TestTimeoutAfterManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &testHandler{}
		p, done := pipe(t, h, ServerOptions{ReadTimeout: 5 * time.Second})
		p.command(1, "publish", 0, nil, "key")
		for range 900 {
			time.Sleep(17 * time.Millisecond)
			p.send(TypeAudio, 4, 1, []byte{1})
		}
		start := time.Now()
		if cause, _ := h.publication(0).closedOnce(t, done); !errors.Is(cause, ErrTimeout) {
			t.Errorf("closed with %v", cause)
		}
		if d := time.Since(start); d < 5*time.Second || d > 5*time.Second+5*time.Second/deadlineSteps {
			t.Errorf("closed after %v", d)
		}
	})
}

// A long message on a slow line is not silence.
func TestSlowPublisherIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &testHandler{}
		p, done := pipe(t, h, ServerOptions{ReadTimeout: 5 * time.Second})
		p.command(1, "publish", 0, nil, "key")
		p.setChunkSize(1 << 20)
		p.write(fromHex(t, "06 000000 100000 09 01000000"))
		for range 16 {
			time.Sleep(4 * time.Second)
			p.write(make([]byte, 1<<16))
		}
		if m := <-h.publication(0).messages; len(m.Body) != 1<<20 {
			t.Errorf("%d bytes", len(m.Body))
		}
		p.nc.Close()
		<-done
	})
}

func TestTimeoutAfterUnpublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, done := pipe(t, &testHandler{}, ServerOptions{})
		p.command(1, "publish", 0, nil, "key")
		time.Sleep(9 * time.Second)
		p.command(1, "closeStream", 0, nil)
		start := time.Now()
		if err := <-done; !errors.Is(err, ErrTimeout) {
			t.Errorf("Serve: %v, want %v", err, ErrTimeout)
		}
		wantEqual(t, "time", 10*time.Second+lastLook, time.Since(start))
	})
}

// A client that takes nothing does not keep the connection.
func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		done := make(chan error, 1)
		go func() {
			done <- Serve(t.Context(), server, ServerOptions{WriteTimeout: 3 * time.Second}, &testHandler{})
		}()
		p := connectedPeer(t, client)
		start := time.Now()
		p.command(0, "createStream", 2, nil)
		if err := <-done; !errors.Is(err, ErrTimeout) {
			t.Errorf("Serve: %v, want %v", err, ErrTimeout)
		}
		wantEqual(t, "time", 3*time.Second, time.Since(start))
	})
}

// Defect 39: encoders stop when their window is not acknowledged.
func TestServerAcknowledges(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.publish(1, "key")
	p.setChunkSize(65536)
	go func() {
		for range 14 {
			<-h.publication(0).messages
		}
	}()
	for range 14 {
		p.send(TypeVideo, 6, 1, make([]byte, 500_000))
	}
	for want := uint32(2_500_000); want < 7_000_000; want += 2_500_000 {
		got := binary.BigEndian.Uint32(p.expectMessage(typeAcknowledgement).Body)
		if got < want || got > want+2*mediaBufferSize {
			t.Errorf("acknowledged %d, want about %d", got, want)
		}
	}
	// The peer's own window counts from then on.
	p.send(typeWindowAckSize, 2, 0, be32(100_000))
	p.send(TypeVideo, 6, 1, make([]byte, 200_000))
	p.expectMessage(typeAcknowledgement)
	client.Close()
	<-done
}

func TestServerAnswersControl(t *testing.T) {
	client, done := serve(t, &testHandler{}, ServerOptions{})
	p := connectedPeer(t, client)
	p.send(typeUserControl, 2, 0, []byte{0, 6, 1, 2, 3, 4})
	wantEqual(t, "pong", []byte{0, 7, 1, 2, 3, 4}, p.expectMessage(typeUserControl).Body)
	p.send(typeUserControl, 2, 0, []byte{0, 6}) // ping without its time
	p.send(typeUserControl, 2, 0, nil)
	p.send(typeUserControl, 2, 0, []byte{0, 3, 0, 0, 0, 1, 0, 0, 0, 100})
	p.send(typeSetPeerBandwidth, 2, 0, []byte{0, 0x26, 0x25, 0xa0, 2}) // what it was told already
	p.send(typeSetPeerBandwidth, 2, 0, []byte{0, 1, 0, 0, 2})
	wantEqual(t, "window", []byte{0, 1, 0, 0}, p.expectMessage(typeWindowAckSize).Body)
	client.Close()
	<-done
}

func TestCalls(t *testing.T) {
	client, done := serve(t, &testHandler{}, ServerOptions{})
	p := connectedPeer(t, client)
	for _, tc := range []struct {
		call []any
		want []any
	}{
		{[]any{"getStreamLength", 2, nil, "x"}, []any{"_result", 2.0, nil, 0.0}},
		{[]any{"_checkbw", 3, nil}, []any{"_result", 3.0, nil, amf.Undefined{}}},
		{[]any{"releaseStream", 4, nil, "x"}, []any{"_result", 4.0, nil, amf.Undefined{}}},
		{[]any{"FCUnpublish", 5, nil, "x"}, []any{"_result", 5.0, nil, nil}},
		{[]any{"createStream", 6, nil}, []any{"_result", 6.0, nil, 1.0}},
		{[]any{"createStream", 7}, []any{"_result", 7.0, nil, 2.0}},
		{[]any{"createStream"}, []any{"_result", 0.0, nil, 3.0}},
		{[]any{"releaseStream", 0, nil, "x"}, nil},
		{[]any{"_result", 9, nil, 5}, nil},
		{[]any{"receiveAudio", 0, nil, true}, nil},
		{[]any{"unknown", 0, nil}, nil},
		{[]any{"deleteStream", 0, nil, math.Inf(1)}, nil},
		{[]any{"closeStream", 0, nil}, nil},
		{[]any{"pause", 0, nil, true, 0}, nil},
	} {
		p.command(0, tc.call...)
		if tc.want == nil {
			continue
		}
		_, got := p.expectCommand(tc.want[0].(string))
		wantEqual(t, fmt.Sprint(tc.call), tc.want, got)
	}
	p.command(0, "unknown", 8, nil)
	_, got := p.expectCommand("_error")
	wantEqual(t, "unknown call", "NetConnection.Call.Failed", amf.Properties(got[3]).String("code"))
	p.command(0, "connect", 9, amf.Object{{Name: "app", Value: "other"}})
	_, got = p.expectCommand("_error")
	wantEqual(t, "second connect", any(9.0), got[1])
	p.command(0, "FCSubscribe", 10, nil, "x")
	p.expectCommand("onFCSubscribe")
	p.expectCommand("_result")
	p.command(1, "seek", 0, nil, 5000)
	if level := p.expectStatus(1, "NetStream.Seek.Failed"); level == "error" {
		t.Error("FFmpeg ends the playback on an error")
	}
	client.Close()
	<-done
}

// Message type 17 is a byte and then AMF0.
func TestAMF3Commands(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := newPeer(t, client)
	p.send(17, 3, 0, amf.Append([]byte{0}, "connect", 1, amf.Object{{Name: "app", Value: "live"}, {Name: "objectEncoding", Value: 3}}))
	p.expectCommand("_result")
	// An AMF3 value in it: what precedes it counts.
	p.send(17, 3, 0, append(amf.Append([]byte{0}, "createStream", 2), 0x11, 0x0a))
	p.expectCommand("_result")
	p.send(17, 3, 1, amf.Append([]byte{0}, "publish", 3, nil, "key", "live"))
	p.expectStatus(1, "NetStream.Publish.Start")
	client.Close()
	<-done
}

// Defects 5 and 25: none of this kills the server, and each ends its connection with an error that
// says why.
func TestHostilePeers(t *testing.T) {
	connect := func(p *peer) {
		p.command(0, "connect", 1, amf.Object{{Name: "app", Value: "live"}})
		p.expectCommand("_result")
	}
	for _, tc := range []struct {
		name string
		do   func(p *peer)
		want error
	}{
		{"5b: 16 MiB command", func(p *peer) { p.write(fromHex(t, "03 000000 ffffff 14 00000000")) }, ErrLimit},
		{"5c: empty command", func(p *peer) { p.send(20, 3, 0, nil) }, ErrProtocol},
		{"5c: empty AMF3 command", func(p *peer) { p.send(17, 3, 0, nil) }, ErrProtocol},
		{"5d: set chunk size with two bytes", func(p *peer) { p.send(1, 2, 0, []byte{0, 0}) }, ErrProtocol},
		{"5f: long string of 4 GiB", func(p *peer) { p.send(20, 3, 0, fromHex(t, "0c ffffffff 61")) }, ErrProtocol},
		{"command name is a number", func(p *peer) { p.command(0, 5, 1) }, ErrProtocol},
		{"command before connect", func(p *peer) { p.command(0, "publish", 1, nil, "key") }, ErrProtocol},
		{"broken command after connect", func(p *peer) { connect(p); p.send(20, 3, 0, []byte{2, 0}) }, ErrProtocol},
		{"window of one byte", func(p *peer) { connect(p); p.send(5, 2, 0, []byte{1}) }, ErrProtocol},
		{"bandwidth of one byte", func(p *peer) { connect(p); p.send(6, 2, 0, []byte{1}) }, ErrProtocol},
		{"nine chunk streams", func(p *peer) {
			connect(p)
			for csid := byte(3); csid < 12; csid++ {
				p.send(3, csid, 0, []byte{0, 0, 0, 1})
			}
		}, ErrLimit},
		{"25: 600,000 bytes before publish", func(p *peer) { connect(p); p.write(fromHex(t, "06 000000 0927c0 09 01000000")) }, ErrLimit},
		{"media of no stream", func(p *peer) {
			connect(p)
			p.send(TypeVideo, 6, 1, []byte{1})
			p.send(TypeVideo, 6, 0, []byte{1})
			p.send(1, 2, 0, nil)
		}, ErrProtocol},
		{"player sends long messages", func(p *peer) {
			connect(p)
			p.command(1, "play", 0, nil, "x")
			p.write(fromHex(t, "06 000000 0927c0 09 01000000"))
		}, ErrLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, done := serve(t, &testHandler{}, ServerOptions{})
			p := newPeer(t, client)
			tc.do(p)
			if err := waitFor(t, "end", done); !errors.Is(err, tc.want) {
				t.Errorf("Serve: %v, want %v", err, tc.want)
			}
		})
	}
}

// Defect 5a: names are passed on, nothing here parses them.
func TestOddNames(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	names := []string{"%zz", "a/b", "", "?", "x?y?z", "\x00\xff"}
	for i, name := range names {
		p.publish(uint32(i+1), name)
	}
	p.command(uint32(len(names)+1), "publish", 0, nil) // no name at all
	p.expectStatus(uint32(len(names)+1), "NetStream.Publish.Start")
	client.Close()
	<-done
	for i, want := range []string{"%zz", "a/b", "", "", "x", "\x00\xff", ""} {
		wantEqual(t, fmt.Sprintf("name %d", i), want, h.published[i].Name)
	}
}

// A publisher on air is not ended by a command that does not parse.
func TestBrokenCommandWhilePublishing(t *testing.T) {
	h := &testHandler{}
	client, done := serve(t, h, ServerOptions{})
	p := connectedPeer(t, client)
	p.publish(1, "key")
	p.send(20, 3, 1, []byte{2, 0})
	p.send(20, 3, 1, nil)
	p.send(TypeAudio, 4, 1, []byte{1})
	waitFor(t, "message", h.publication(0).messages)
	client.Close()
	<-done
}

func TestReconnectRequest(t *testing.T) {
	for _, capable := range []bool{false, true} {
		h := &testHandler{}
		client, done := serve(t, h, ServerOptions{Reconnect: true})
		p := newPeer(t, client)
		caps := 0
		if capable {
			caps = CapReconnect | CapModEx
		}
		p.command(0, "connect", 1, amf.Object{{Name: "app", Value: "live"}, {Name: "capsEx", Value: caps}})
		_, values := p.expectCommand("_result")
		wantEqual(t, "capsEx", float64(CapReconnect|CapMultitrack|CapModEx|CapTimestampNanoOffset), amf.Properties(values[2]).Number("capsEx"))
		p.publish(1, "key")
		asked, err := h.connected[0].RequestReconnect("rtmp://other/live", "Update.")
		if asked != capable || err != nil {
			t.Errorf("asked %v, %v", asked, err)
		}
		if capable {
			id, values := p.expectCommand("onStatus")
			info := amf.Properties(values[3])
			if id != 0 || info.String("code") != "NetConnection.Connect.ReconnectRequest" || info.String("level") != "status" || info.String("tcUrl") != "rtmp://other/live" {
				t.Errorf("status on %d: %v", id, values)
			}
		}
		client.Close()
		<-done
	}
}
