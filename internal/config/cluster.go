package config

import (
	"errors"
	"math"
	"net/url"
	"strings"

	"livego/internal/cluster"
)

// clusterSecret is one secret of a cluster, or several with commas between them; empty means none.
// It is not repeated.
func clusterSecret(p *cluster.Secret) value {
	parse := func(s string) error {
		if s == "" {
			*p = nil
			return nil
		}
		secret, err := cluster.ParseSecret(s)
		if err != nil {
			return err
		}
		*p = secret
		return nil
	}
	return value{kindSecret, parse, func() string { return hidden(len(*p) > 0) }}
}

// region is the name of a region, as that of a node.
func region(p *string) value { return nodeID(p) }

// nodeID is the name of a node; empty means that one is made.
func nodeID(p *string) value {
	parse := func(s string) error {
		if s != "" {
			if err := cluster.CheckID(s); err != nil {
				return err
			}
		}
		*p = s
		return nil
	}
	return value{kindText, parse, func() string { return *p }}
}

// publicURL is where a server is reached from outside; empty means that nobody is sent there.
func publicURL(p *string) value {
	parse := func(s string) error {
		u, err := url.Parse(s)
		if s != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
			return errors.New("must be a URL such as https://node1.example.org, without user and query")
		}
		*p = strings.TrimSuffix(s, "/")
		return nil
	}
	return value{kindText, parse, func() string { return *p }}
}

// percent is a share, written in percent.
func percent(p *float64) value {
	return scaled(100, func(n int) { *p = float64(n) / 100 }, func() int { return int(math.Round(*p * 100)) })
}

// megabits is a bit rate, written in Mbit/s.
func megabits(p *int64, most int) value {
	return scaled(most, func(n int) { *p = int64(n) * 1_000_000 }, func() int { return int(*p / 1_000_000) })
}

// maxEgress bounds egress_limit, in Mbit/s: no machine sends as much.
const maxEgress = 10_000_000

// checkCluster checks what a node needs.
func (l *loader) checkCluster() {
	c := &l.cfg
	place := l.origin["cluster_addr"]
	if c.Cluster.Addr == "" {
		return
	}
	if c.Store.RedisAddr == "" {
		l.problem(place, "cluster_addr needs redis_addr: in Redis the servers keep which of them has which stream")
	}
	if len(c.Cluster.Secret) == 0 {
		l.problem(place, "cluster_addr needs cluster_secret, the same one on all servers (openssl rand -hex 32)")
	}
	if c.Cluster.RedirectAbove > 0 && c.Cluster.PublicURL == "" {
		l.problem(l.origin["redirect_above"], "redirect_above needs public_url on all servers: where viewers are sent")
	}
	if given := [...]bool{c.Cluster.Cert != "", c.Cluster.Key != "", c.Cluster.CA != ""}; given != [3]bool{} && given != [3]bool{true, true, true} {
		l.problem(place, "cluster_cert, cluster_key and cluster_ca need each other")
	}
}
