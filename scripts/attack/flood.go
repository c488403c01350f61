//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	// floodFiles is how many descriptors the server has, floodConns how many connections strangers open and leave idle.
	floodFiles, floodConns = 512, 2000
)

// idleConnections are opened on all ports, and nothing is sent over them.
func idleConnections(ctx context.Context, s *server, r *report) error {
	if err := s.publish(ctx, "movie"); err != nil {
		return err
	}
	ports := []string{s.rtmp, s.flv, s.hls, s.api}
	for i := range floodConns {
		conn, err := net.DialTimeout("tcp", ports[i%len(ports)], time.Second)
		if err != nil {
			break // the bounds say what came of it
		}
		defer conn.Close()
	}
	r.did("%d connections to all ports that send nothing, to a server with %d file descriptors", floodConns, floodFiles)
	r.atMost("a new publisher waits", s.took(func(ctx context.Context) error { return s.publish(ctx, "other") }).Seconds(), 2, "s")
	r.atMost("the API waits", s.took(func(context.Context) error {
		_, _, err := s.get("http://"+s.api+"/stat/livestat", 10*time.Second)
		return err
	}).Seconds(), 2, "s")
	r.atMost("a viewer waits", s.took(func(ctx context.Context) error {
		_, err := s.newest(ctx, "movie")
		return err
	}).Seconds(), 8, "s") // the first segment takes some of it
	return nil
}

const (
	quicDials  = 2000
	quicPeriod = 4 * time.Second
)

// deaf is a socket that sends and never receives, as that of somebody who sends in another's name.
type deaf struct{ net.PacketConn }

func (d deaf) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if _, _, err := d.PacketConn.ReadFrom(b); err != nil {
			return 0, nil, err
		}
	}
}

// quicHandshakes begins handshakes and leaves them.
func quicHandshakes(ctx context.Context, s *server, r *report) error {
	memory, cpu := s.memory(), s.cpu()
	client := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}
	target, err := net.ResolveUDPAddr("udp", s.hls)
	if err != nil {
		return err
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true"); err != nil { // nothing is received
		return err
	}
	transport := quic.Transport{Conn: deaf{socket}}
	var dials sync.WaitGroup
	for range quicDials {
		time.Sleep(quicPeriod / quicDials)
		dials.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, time.Second/2)
			defer cancel()
			_, _ = transport.Dial(ctx, target, client, nil)
		})
	}
	honest := s.took(func(ctx context.Context) error {
		conn, err := quic.DialAddr(ctx, s.hls, client, nil)
		if err == nil {
			_ = conn.CloseWithError(0, "")
		}
		return err
	})
	grown := s.memory() - memory
	dials.Wait()
	r.did("%d handshakes of QUIC in %v that get no further, by addresses that do not answer", quicDials, quicPeriod)
	r.atMost("CPU time per handshake", milliseconds(s.cpu()-cpu)/quicDials, 0.8, "ms")
	r.atMost("memory more", grown, 60, "MB")
	r.atMost("somebody else waits for a connection", honest.Seconds(), 2, "s")
	_ = transport.Close()
	return socket.Close()
}
