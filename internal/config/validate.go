package config

import (
	"net"
	"net/netip"

	"livego/internal/auth"
)

const (
	// minSecret is the least length of jwt.secret, in bytes.
	minSecret = auth.MinSecret
	// goodSecret is the length that RFC 7518 §3.2 asks for with HS256.
	goodSecret = 32
)

// validate checks what concerns more than one option.
func (l *loader) validate() {
	l.checkListeners()
	l.checkSecret()
	l.checkViewers()
	l.checkCluster()
	l.checkRecord()
	if len(l.cfg.API.Origins) > 0 && l.cfg.API.Secret == "" {
		l.warn("%s: api_origins has no effect without jwt.secret: the API then answers no other origin", l.origin["api_origins"])
	}
	if l.cfg.Fanout.MinBatch > l.cfg.Fanout.MaxBatch {
		l.problem(l.origin["min_batch_delay"], "min_batch_delay %v is more than max_batch_delay %v", l.cfg.Fanout.MinBatch, l.cfg.Fanout.MaxBatch)
	}
	if !l.cfg.HLS.CMAF && l.cfg.Rewind.Window > 0 {
		l.problem(l.origin["hls_cmaf"], "hls_dvr_window needs hls_cmaf: only CMAF segments are kept for rewinding")
	}
	if l.cfg.HLSHTTP3 && !l.cfg.HLSTLS && l.cfg.HTTPSAddr == "" {
		l.warn("%s: hls_http3 has no effect without use_hls_https or https_addr: HTTP/3 has no form without TLS", l.origin["hls_http3"])
	}
	l.checkTLS()
	if l.cfg.RTMPSAddr != "" && l.cfg.RTMPTLS {
		l.warn("%s: enable_rtmps makes rtmp_addr speak TLS too, so no port is left for plain RTMP", l.origin["enable_rtmps"])
	}
}

func (l *loader) checkListeners() {
	listeners := []struct{ key, addr string }{
		{"rtmp_addr", l.cfg.RTMPAddr}, {"rtmps_addr", l.cfg.RTMPSAddr}, {"httpflv_addr", l.cfg.FLVAddr},
		{"hls_addr", l.cfg.HLSAddr}, {"api_addr", l.cfg.APIAddr}, {"metrics_addr", l.cfg.MetricsAddr},
		{"https_addr", l.cfg.HTTPSAddr}, {"http_redirect_addr", l.cfg.HTTPRedirectAddr},
		{"pprof_addr", l.cfg.PprofAddr}, {"cluster_addr", l.cfg.Cluster.Addr},
	}
	on := 0
	for i, a := range listeners {
		if a.addr != "" {
			on++
		}
		for _, b := range listeners[:i] {
			if conflict(a.addr, b.addr) {
				place := l.origin[a.key]
				if !l.given(a.key) {
					place = l.origin[b.key]
				}
				l.problem(place, "%s %s and %s %s are the same port; give one of them another", b.key, b.addr, a.key, a.addr)
			}
		}
	}
	if on == 0 {
		l.problem(l.origin["rtmp_addr"], "all listen addresses are empty; set at least rtmp_addr")
	}
}

// conflict says whether nobody can listen on both addresses. Port 0 is a free port each time.
func conflict(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	if hostA == hostB || hostA == "" || hostB == "" {
		return true
	}
	ipA, errA := netip.ParseAddr(hostA)
	ipB, errB := netip.ParseAddr(hostB)
	if errA != nil || errB != nil || !(ipA.IsUnspecified() || ipB.IsUnspecified()) {
		return false
	}
	// [::] takes IPv4 connections too.
	return ipA.Is4() == ipB.Is4() || (ipA.Is6() && ipA.IsUnspecified()) || (ipB.Is6() && ipB.IsUnspecified())
}

func (l *loader) checkSecret() {
	place := l.origin["jwt.secret"]
	switch n := len(l.cfg.API.Secret); {
	case n == 0 && l.given("jwt.secret"):
		l.problem(place, "jwt.secret is empty; give it at least %d bytes (openssl rand -hex 32), or remove it for an API that answers only this machine", minSecret)
	case n == 0 && l.given("jwt.algorithm"):
		l.warn("%s: jwt.algorithm has no effect without jwt.secret", l.origin["jwt.algorithm"])
	case n == 0:
	case n < minSecret && (l.cfg.APIAddr == "" || auth.OnlyLocal(l.cfg.APIAddr)):
		l.warn("%s: jwt.secret has only %d bytes, which can be guessed; give it at least %d (openssl rand -hex 32)", place, n, minSecret)
	case n < minSecret:
		l.problem(place, "jwt.secret has only %d bytes; give it at least %d (openssl rand -hex 32), or keep the API to this machine with api_addr: 127.0.0.1:8090",
			n, minSecret)
	case n < goodSecret:
		l.warn("%s: jwt.secret has %d bytes; RFC 7518 asks for at least %d", place, n, goodSecret)
	}
}

// checkTLS checks that what goes with TLS has a port with TLS.
func (l *loader) checkTLS() {
	c := &l.cfg
	if c.HTTPRedirectAddr != "" && c.HTTPSAddr == "" {
		l.warn("%s: http_redirect_addr leads to port 443, and there is no https_addr", l.origin["http_redirect_addr"])
	}
	if len(c.ACME.Domains) > 0 && c.HTTPSAddr == "" && !c.HLSTLS && !c.FLVTLS && !c.RTMPTLS && c.RTMPSAddr == "" {
		l.warn("%s: acme_domains has no effect without a port with TLS, such as https_addr: \":443\"", l.origin["acme_domains"])
	}
	if len(c.ACME.Domains) == 0 && (c.ACME.Email != "" || c.ACME.Directory != "") {
		l.warn("acme_email and acme_directory have no effect without acme_domains")
	}
}
