package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"livego/internal/flv"
)

// TestFloor publishes a key frame, a picture and audio, and plays them.
func TestFloor(t *testing.T) {
	publishers, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer publishers.Close()
	made := httptest.NewTLSServer(nil)
	made.Close()
	viewers, err := tls.Listen("tcp", "127.0.0.1:0", made.TLS)
	if err != nil {
		t.Fatal(err)
	}
	defer viewers.Close()
	f := &floor{streams: map[string]*stream{}}
	go f.accept(publishers, f.publish)
	go f.accept(viewers, f.play)

	viewer, err := tls.Dial("tcp", viewers.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer viewer.Close()
	publisher, err := net.Dial("tcp", publishers.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	deadline := time.Now().Add(10 * time.Second)
	if err := errors.Join(viewer.SetDeadline(deadline), publisher.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(viewer, "GET /live/x.flv HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	request := "POST /live/x HTTP/1.0\r\nHost: h\r\n\r\n"
	out := flv.AppendFileHeader([]byte(request), true, true)
	out = flv.AppendTag(out, flv.TypeVideo, 0, []byte{0x17, 0, 0, 0, 0, 'h'})
	if _, err := publisher.Write(out); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // GOP after GOP, as nobody says when the player has come
		defer close(done)
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			gop := flv.AppendTag(nil, flv.TypeAudio, 1, []byte{0xAF, 1, 'a'})
			gop = flv.AppendTag(gop, flv.TypeVideo, 1, []byte{0x17, 1, 0, 0, 0, 'k'})
			gop = flv.AppendTag(gop, flv.TypeAudio, 2, []byte{0xAF, 1, 'a'})
			gop = flv.AppendTag(gop, flv.TypeVideo, 3, []byte{0x27, 1, 0, 0, 0, 'p'})
			if _, err := publisher.Write(gop); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-ticker.C:
			case <-stop:
				return
			}
		}
	}()
	defer func() { close(stop); <-done }()
	answer, err := http.ReadResponse(bufio.NewReader(viewer), nil)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%+v, %v", answer, err)
	}
	reader := flv.NewReader(answer.Body)
	for i, want := range "hkapakap" {
		tag, err := reader.ReadTag()
		if err != nil {
			t.Fatal(err)
		}
		if got := rune(tag.Body[len(tag.Body)-1]); got != want {
			t.Errorf("tag %d is %q, want %q", i, got, want)
		}
	}
}
