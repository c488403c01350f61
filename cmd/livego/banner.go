package main

import (
	"log/slog"
	"net"
	"slices"

	"livego/internal/auth"
	"livego/internal/config"
)

// logLinks tells a newcomer what to open on this machine. Names in capitals stand for what only the
// user knows. The addresses are those that the server listens on, by protocol, as a port may have
// been left to the system.
func logLinks(log *slog.Logger, cfg config.Config, addrs map[string]net.Addr) {
	publishName := "CHANNELKEY"
	if cfg.NoAuth {
		publishName = "STREAM"
	}
	show := func(what, protocol, scheme, configured, name string, has func(config.App) bool) {
		addr, listens := addrs[protocol]
		if app, ok := firstApp(cfg, has); ok && listens {
			log.Info(what, "url", link(scheme, withPort(configured, addr), app+"/"+name))
		}
	}
	live := func(a config.App) bool { return a.Live }
	flv := func(a config.App) bool { return a.FLV }
	hls := func(a config.App) bool { return a.HLS }
	rtmp := secured("rtmp", cfg.RTMPTLS)
	show("publish over RTMP", "rtmp", rtmp, cfg.RTMPAddr, publishName, live)
	show("publish over RTMPS", "rtmps", "rtmps", cfg.RTMPSAddr, publishName, live)
	show("play over RTMP", "rtmp", rtmp, cfg.RTMPAddr, "STREAM", live)
	show("play over HTTP-FLV", "http-flv", secured("http", cfg.FLVTLS), cfg.FLVAddr, "STREAM.flv", flv)
	show("play over HLS", "hls", secured("http", cfg.HLSTLS), cfg.HLSAddr, "STREAM.m3u8", hls)
	show("watch in a browser", "hls", secured("http", cfg.HLSTLS), cfg.HLSAddr, "STREAM/", hls)
	show("watch in a browser over TLS", "https", "https", cfg.HTTPSAddr, "STREAM/", hls)
	if addr, ok := addrs["api"]; ok {
		url := link("http", withPort(cfg.APIAddr, addr), "control/get?room=STREAM")
		log.Info("channel key of a stream", "url", url, "command", "livego key get STREAM")
	}
}

func secured(scheme string, tls bool) string {
	if tls {
		return scheme + "s"
	}
	return scheme
}

// firstApp returns the name of the first app that has something.
func firstApp(cfg config.Config, has func(config.App) bool) (string, bool) {
	if i := slices.IndexFunc(cfg.Apps, has); i >= 0 {
		return cfg.Apps[i].Name, true
	}
	return "", false
}

// withPort is a listen address with the port that is really used.
func withPort(configured string, actual net.Addr) string {
	host, _, err := net.SplitHostPort(configured)
	_, port, actualErr := net.SplitHostPort(actual.String())
	if err != nil || actualErr != nil {
		return actual.String()
	}
	return net.JoinHostPort(host, port)
}

// link shows a listen address as this machine reaches it.
func link(scheme, addr, path string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return scheme + "://" + net.JoinHostPort(loopback(host), port) + "/" + path
}

// logOpenAPI tells what protects a control API that others than this machine can reach.
func logOpenAPI(log *slog.Logger, cfg config.Config) {
	switch {
	case cfg.APIAddr == "" || cfg.API.Secret != "" || auth.OnlyLocal(cfg.APIAddr):
	case len(cfg.API.Allow) > 0:
		log.Warn("the control API listens for others too, without jwt.secret: it gives channel keys to whoever calls from api_allow",
			"addr", cfg.APIAddr, "api_allow", cfg.API.Allow)
	default:
		log.Info("the control API listens for others too, without jwt.secret: it answers only this machine; to open it set jwt.secret or api_allow, "+
			"to close it set api_addr: 127.0.0.1:8090", "addr", cfg.APIAddr)
	}
}
