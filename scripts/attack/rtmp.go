//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"livego/internal/amf"
	"livego/internal/rtmp"
)

// rtmpAttacks are those on the RTMP port.
func rtmpAttacks() []attack {
	return []attack{
		{name: "wrong-keys", flags: []string{"--rtmp_noauth=false"}, run: wrongKeys},
		{name: "long-names", run: longNames},
		{name: "connects", run: connects},
		{name: "feeds", flags: rtmpOnly, run: feeds},
		{name: "paused", flags: rtmpOnly, run: paused},
	}
}

// rtmpOnly is for measurements of what RTMP takes.
var rtmpOnly = []string{"--hls_addr", "", "--httpflv_addr", ""}

// peer is an RTMP client that says what it likes, and reads nothing unless it is told to.
type peer struct{ nc net.Conn }

// dialRTMP performs the handshake in its simple form (RTMP 1.0 §5.2).
func (s *server) dialRTMP() (*peer, error) {
	nc, err := net.DialTimeout("tcp", s.rtmp, 5*time.Second)
	if err != nil {
		return nil, err
	}
	p := &peer{nc: nc}
	_ = nc.SetDeadline(time.Now().Add(limit))
	if _, err := nc.Write(append([]byte{3}, make([]byte, 2*1536)...)); err != nil { // C2 at once: nobody looks at it
		nc.Close()
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, nc, 1+2*1536); err != nil {
		nc.Close()
		return nil, err
	}
	return p, p.send(rtmp.Format{}.AppendMessage(nil, 1, 0, binary.BigEndian.AppendUint32(nil, rtmp.ChunkSize))) // Set Chunk Size
}

func (p *peer) send(b []byte) error {
	_, err := p.nc.Write(b)
	return err
}

const typeCommand = 20 // AMF0

func (p *peer) command(streamID uint32, values ...any) error {
	return p.send(rtmp.Format{StreamID: streamID}.AppendMessage(nil, typeCommand, 0, amf.Append(nil, values...)))
}

// swallow reads what comes, so that the server can go on.
func (p *peer) swallow() { _, _ = io.Copy(io.Discard, p.nc) }

// play plays on a message stream.
func (s *server) play(streamID uint32, name string, object amf.Object) (*peer, error) {
	p, err := s.dialRTMP()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		p.command(0, "connect", 1.0, append(object, amf.Property{Name: "app", Value: "live"})),
		p.command(0, "createStream", 2.0, nil),
		p.command(streamID, "play", 0.0, nil, name))
	return p, err
}

// code reads until a status or an error comes, and returns its code.
func (p *peer) code() string {
	var got []byte
	buf := make([]byte, 4096)
	for {
		n, err := p.nc.Read(buf)
		got = append(got, buf[:n]...)
		for _, code := range []string{"NetStream.Publish.Start", "NetStream.Publish.Denied", "NetConnection.Connect.Rejected"} {
			if strings.Contains(string(got), code) {
				return code
			}
		}
		if err != nil {
			return err.Error()
		}
	}
}

// publishAs tries to go on air with a key.
func (s *server) publishAs(key string) (code string, err error) {
	p, err := s.dialRTMP()
	if err != nil {
		return "", err
	}
	defer p.nc.Close()
	err = errors.Join(
		p.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: "live"}}),
		p.command(1, "publish", 0.0, nil, key, "live"))
	if err != nil {
		return "", err
	}
	return p.code(), nil
}

const attackers = 32

// wrongKeys guesses keys from the address on which an encoder wants to publish.
func wrongKeys(ctx context.Context, s *server, r *report) error {
	_, key, err := s.get("http://"+s.api+"/control/get?room=movie&format=text", 5*time.Second)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, 8*time.Second)
	defer stop()
	var guessing sync.WaitGroup
	var guesses [attackers]int
	for i := range attackers {
		guessing.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.publishAs(fmt.Sprintf("%048d", i)); err == nil {
					guesses[i]++
				}
			}
		})
	}
	time.Sleep(3 * time.Second)
	accepted, slowest := 0, time.Duration(0)
	const tries = 20
	for range tries {
		begin := time.Now()
		if code, err := s.publishAs(key); err == nil && code == "NetStream.Publish.Start" {
			accepted++
		}
		slowest = max(slowest, time.Since(begin))
	}
	stop()
	guessing.Wait()
	all := 0
	for _, n := range guesses {
		all += n
	}
	r.did("%d connections at a time guess keys from the address of an encoder, %d in all", attackers, all)
	r.atLeast("the encoder on air", float64(accepted), tries, "times of 20")
	r.atMost("until its answer", slowest.Seconds(), 2, "s")
	r.atMost("log", s.logSize(), 0.3, "MB")
	return nil
}

// logSize is the length of the log in MB.
func (s *server) logSize() float64 {
	info, err := os.Stat(s.log)
	if err != nil {
		return 0
	}
	return float64(info.Size()) / (1 << 20)
}

// longNames fills the log with names, as fast as connections can be made.
func longNames(ctx context.Context, s *server, r *report) error {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	var connecting sync.WaitGroup
	var mu sync.Mutex
	connections := 0
	name := strings.Repeat("name of nobody ", 4000)
	for i := range attackers {
		connecting.Go(func() {
			for ctx.Err() == nil {
				p, err := s.dialRTMP()
				if err != nil {
					continue
				}
				object := amf.Object{{Name: "app", Value: name}}
				if i%2 == 0 {
					object = amf.Object{{Name: "app", Value: "live"}, {Name: "flashVer", Value: name}}
				}
				_ = p.command(0, "connect", 1.0, object)
				_ = p.command(1, "publish", 0.0, nil, name[:4000], "live")
				p.swallow()
				p.nc.Close()
				mu.Lock()
				connections++
				mu.Unlock()
			}
		})
	}
	connecting.Wait()
	r.did("%d connections with names of 60 KB in 5 s", connections)
	r.atMost("log", s.logSize(), 1, "MB")
	return nil
}

// connects keeps connections open that said much.
func connects(_ context.Context, s *server, r *report) error {
	const clients = 400
	var list amf.StrictArray
	var infos amf.Object
	for i := range 400 {
		list = append(list, fmt.Sprintf("%040d", i))
		infos = append(infos, amf.Property{Name: fmt.Sprintf("%040d", i), Value: 4})
	}
	object := amf.Object{
		{Name: "tcUrl", Value: strings.Repeat("x", 8<<10)}, {Name: "flashVer", Value: strings.Repeat("x", 8<<10)},
		{Name: "fourCcList", Value: list}, {Name: "videoFourCcInfoMap", Value: infos},
	}
	before := s.memory()
	for range clients {
		p, err := s.play(1, "nothing?"+strings.Repeat("x", 4000), object)
		if err != nil {
			return err
		}
		defer p.nc.Close()
		go p.swallow()
	}
	time.Sleep(time.Second)
	r.did("%d players with connect objects of 60 KB wait for a stream", clients)
	r.atMost("memory for each", (s.memory()-before)*1024/clients, 100, "KB")
	return nil
}

const pictureRate = 25

// publishHeavy sends a stream, whose sound has two tracks, until ctx ends: so many bits in a
// second, and a key frame each gop pictures. The first 10 s go at once.
func (s *server) publishHeavy(ctx context.Context, name string, bits, gop int) error {
	p, err := s.dialRTMP()
	if err != nil {
		return err
	}
	err = errors.Join(
		p.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: "live"}}),
		p.command(1, "publish", 0.0, nil, name, "live"))
	if err != nil {
		return err
	}
	if code := p.code(); code != "NetStream.Publish.Start" {
		return errors.New(code)
	}
	go p.swallow()
	f := rtmp.Format{StreamID: 1}
	picture := func(i int) error {
		frame := make([]byte, bits/8/pictureRate)
		for at := range frame {
			frame[at] = byte(at) | 1
		}
		frameType, slice := byte(0x27), byte(0x41) // an inter frame of AVC (FLV E.4.3.1)
		if i%gop == 0 {
			frameType, slice = 0x17, 0x65
		}
		copy(frame, []byte{frameType, 1, 0, 0, 0})
		binary.BigEndian.PutUint32(frame[5:], uint32(len(frame)-9))
		frame[9] = slice
		return p.send(f.AppendMessage(nil, rtmp.TypeVideo, uint32(i*1000/pictureRate), frame))
	}
	header := append([]byte{0x17, 0, 0, 0, 0}, avcHeader...)
	if err := p.send(f.AppendMessage(nil, rtmp.TypeVideo, 0, header)); err != nil {
		return err
	}
	// A message with two tracks lets players pick (Enhanced RTMP v2, "Enhanced Audio"): two
	// sequence starts of Opus, without data.
	tracks := append([]byte{0x95, 0x10}, "Opus\x00\x00\x00\x00\x01\x00\x00\x00"...)
	if err := p.send(f.AppendMessage(nil, rtmp.TypeAudio, 0, tracks)); err != nil {
		return err
	}
	for i := range 10 * pictureRate {
		if err := picture(i); err != nil {
			return err
		}
	}
	go func() {
		defer p.nc.Close()
		tick := time.NewTicker(time.Second / pictureRate)
		defer tick.Stop()
		for i := 10 * pictureRate; ctx.Err() == nil; i++ {
			<-tick.C
			_ = p.nc.SetDeadline(time.Now().Add(limit))
			if picture(i) != nil {
				return
			}
		}
	}()
	return nil
}

// avcHeader is an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1) of 640 by 360.
var avcHeader = []byte("\x01\x42\xc0\x1e\xff\xe1\x00\x0d\x67\x42\xc0\x1e\xda\x02\x80\xbf\xe5\xc0\x44\x00\x00\x01\x00\x04\x68\xce\x3c\x80")

// feeds picks whatever can be picked of one stream.
func feeds(ctx context.Context, s *server, r *report) error {
	const clients = 99
	if err := s.publishHeavy(ctx, "movie", 8_000_000, 10*pictureRate); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	before := s.memory()
	views := []string{"movie", "movie?video=none&audio=0", "movie?audio=none", "movie?audio=1", "movie?video=0&audio=0", "movie?video=0&audio=1"}
	for i := range uint32(clients) {
		p, err := s.play(i%33, views[int(i)%len(views)], nil)
		if err != nil {
			return err
		}
		defer p.nc.Close()
		go p.swallow()
	}
	most := 0.0
	for range 60 {
		time.Sleep(100 * time.Millisecond)
		most = max(most, s.memory())
	}
	r.did("%d players of a stream of 8 Mbit/s with GOPs of 10 s pick message streams and tracks", clients)
	r.atMost("memory for all of them", most-before, 150, "MB")
	_, list, err := s.get("http://"+s.api+"/stat/livestat", 5*time.Second)
	r.atLeast("playing", float64(strings.Count(list, `"jumps"`)), clients, "players")
	return err
}

// paused leaves players in a pause, each at another place of the stream.
func paused(ctx context.Context, s *server, r *report) error {
	const clients = 100
	if err := s.publishHeavy(ctx, "movie", 80_000_000, pictureRate); err != nil {
		return err
	}
	first, err := s.play(1, "movie", nil)
	if err != nil {
		return err
	}
	defer first.nc.Close()
	go first.swallow()
	time.Sleep(4 * time.Second)
	before := s.memory()
	for range clients {
		p, err := s.play(1, "movie", nil)
		if err != nil {
			return err
		}
		defer p.nc.Close()
		go p.swallow()
		time.Sleep(time.Second / 10)
		if err := p.command(1, "pause", 0.0, nil, true, 0.0); err != nil {
			return err
		}
	}
	time.Sleep(time.Second)
	r.did("%d players pause one after the other in a stream of 80 Mbit/s", clients)
	r.atMost("memory for each", (s.memory()-before)*1024/clients, 300, "KB")
	return nil
}
