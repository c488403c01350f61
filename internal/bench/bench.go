// Package bench is a load tool for live-streaming servers: it publishes streams in real time, plays
// them with many players, and reports what arrived, how late, and what it cost the server.
//
// It is made not to be the bottleneck. Most players only throw away what they get, on Linux inside
// the kernel; a sample of them takes the stream apart, checks it, and measures the latency by the
// stamps that the publisher put into the pictures. With TLS the others leave off decrypting after
// the handshake, except for HLS, whose answers have to be told apart.
package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// ErrRemote: an address is not one of this machine, and Options.AllowRemote is not set.
var ErrRemote = errors.New("not an address of this machine")

// Options configures Run.
type Options struct {
	// Publish is where the streams are sent: rtmp, rtmps, or http for an FLV upload by POST.
	// {stream} stands for the stream's name and {key} for its key. Empty: somebody else publishes.
	Publish string
	// Play is where the players get them, with {stream}: rtmp, rtmps, http and https (.flv, .m3u8),
	// ws, wss. The players are spread evenly over several. Of HLS they play the first variant with
	// its audio, with parts and their hints if the server has them.
	Play []string
	// Keys returns the key of a stream. It is needed if Publish has {key}.
	Keys func(ctx context.Context, stream string) (string, error)

	// Stream is the name of the only stream, or what the names of several begin with.
	Stream string
	// Streams and Players are numbers; the players are spread evenly over the streams.
	Streams, Players int
	// Sample is how many players check what they get.
	Sample int
	// JoinRate is how many players connect in a second.
	JoinRate float64
	// Storm further players join within the first second of the measurement. They count neither as
	// delivered nor as starved: they show how long each waits for its first key frame, and what
	// their coming does to the others.
	Storm int

	// File is what to publish over and over: FLV, or whatever an installed ffmpeg can make FLV of
	// without encoding. Empty: the built-in clip, with VideoRate and AudioRate in bits per second;
	// 0 leaves that kind out.
	File                 string
	VideoRate, AudioRate int

	// Warmup is the time between the joining of the last player and the measurement, Duration that
	// of the measurement.
	Warmup, Duration time.Duration
	// PIDs are processes of the server whose CPU time and memory is measured. Linux only.
	PIDs []int

	// AllowRemote lifts the restriction to servers on this machine.
	AllowRemote bool
	// Insecure accepts any certificate.
	Insecure bool
	// HTTP2 lets players of HLS speak HTTP/2, which needs https. It costs the tool several times as
	// much as HTTP/1.1.
	HTTP2 bool
	// Progress, if not nil, is called every second.
	Progress func(Progress)
}

// Limits of the options.
const (
	// dialTimeout bounds each attempt to connect.
	dialTimeout = 10 * time.Second
	// retryDelay is the time between attempts.
	retryDelay = time.Second
	// maxAge bounds the time without anything received, for the players that check.
	maxAge = 30 * time.Second
)

func (o *Options) validate() error {
	switch {
	case o.Streams < 1:
		return errors.New("there must be a stream")
	case o.Players < 0 || o.Sample < 0 || o.Storm < 0:
		return errors.New("the number of players is negative")
	case o.Players+o.Storm > 0 && len(o.Play) == 0:
		return errors.New("no URL to play")
	case o.JoinRate <= 0:
		return errors.New("the join rate must be above 0")
	case o.Duration <= 0:
		return errors.New("the duration must be above 0")
	case o.Publish != "" && o.File == "" && o.VideoRate <= 0 && o.AudioRate <= 0:
		return errors.New("both bit rates are 0")
	case strings.Contains(o.Publish, "{key}") && o.Keys == nil:
		return errors.New("the publish URL asks for a key, but there is none")
	}
	return nil
}

// spareFiles are open besides the connections.
const spareFiles = 64

// files returns how many files the run has open at most.
func (o *Options) files() uint64 {
	each := 1
	for _, play := range o.Play {
		if strings.Contains(play, ".m3u8") {
			each = 4 // Low-Latency HLS: playlist and media, of video and of audio
		}
	}
	return uint64(o.Streams + (o.Players+o.Storm)*each + spareFiles)
}

// streamName returns the name of stream i, counted from 0.
func (o *Options) streamName(i int) string {
	if o.Streams == 1 {
		return o.Stream
	}
	return fmt.Sprintf("%s%d", o.Stream, i+1)
}

// network makes the connections.
type network struct {
	dialer net.Dialer
	tls    *tls.Config
	http2  bool
	// playlists are shared by all players: hundreds get the same one at the same moment.
	playlists playlists
}

func newNetwork(o *Options) *network {
	n := &network{
		dialer: net.Dialer{Timeout: dialTimeout},
		http2:  o.HTTP2,
		tls:    &tls.Config{InsecureSkipVerify: o.Insecure, NextProtos: []string{"http/1.1"}},
	}
	if !o.AllowRemote {
		// Here every connection comes by with the address that its name stands for, whoever makes
		// it.
		n.dialer.Control = func(_, address string, _ syscall.RawConn) error {
			if addr, err := netip.ParseAddrPort(address); err != nil || !addr.Addr().Unmap().IsLoopback() {
				return fmt.Errorf("%s: %w", address, ErrRemote)
			}
			return nil
		}
	}
	return n
}

// client returns the TLS configuration for a host.
func (n *network) client(host string) *tls.Config {
	c := n.tls.Clone()
	c.ServerName = host
	return c
}
