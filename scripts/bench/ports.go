//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
)

// addrs is where servers listen, one at a time.
type addrs struct {
	rtmpAddr, flvAddr, hlsAddr, apiAddr string
	// tlsAddr is that of RTMPS, and of the floor's players over TLS; filesAddr that of nginx with
	// files.
	tlsAddr, filesAddr, secureFilesAddr string

	// home and edge are nodes of a cluster, redisAddr is where their Redis is.
	home, edge nodeAddrs
	redisAddr  string
}

// nodeAddrs is where a node of a cluster listens.
type nodeAddrs struct{ rtmp, flv, hls, api, cluster string }

// Ports are looked for between these, below those that connections of players take
// (ip_local_port_range).
const (
	firstPort = 19350
	lastPort  = 32000
)

var errNoPorts = errors.New("no free ports")

// freeAddrs finds ports next to each other that nobody listens on.
func freeAddrs() (addrs, error) {
	var a addrs
	all := []*string{&a.rtmpAddr, &a.flvAddr, &a.hlsAddr, &a.apiAddr, &a.tlsAddr, &a.filesAddr, &a.secureFilesAddr, &a.redisAddr}
	for _, n := range []*nodeAddrs{&a.home, &a.edge} {
		all = append(all, &n.rtmp, &n.flv, &n.hls, &n.api, &n.cluster)
	}
	for first := firstPort; first+len(all) <= lastPort; first += len(all) {
		free := 0
		for i, addr := range all {
			*addr = fmt.Sprintf("127.0.0.1:%d", first+i)
			l, err := net.Listen("tcp", *addr)
			if err != nil {
				break
			}
			l.Close()
			free++
		}
		if free == len(all) {
			return a, nil
		}
	}
	return addrs{}, errNoPorts
}
