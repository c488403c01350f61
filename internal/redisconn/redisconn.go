// Package redisconn opens connections to Redis: a single server, one behind Sentinel, or a Redis
// Cluster.
package redisconn

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// OpTimeout bounds each call: an encoder waits for the answer to publish, an operator for the API.
const OpTimeout = 2 * time.Second

// maxAddrs bounds the addresses of one Redis.
const maxAddrs = 64

// ErrBadAddress: the address of Redis is none of the forms that Open takes. The address is not in
// it, as it may hold a password.
var ErrBadAddress = errors.New("the address of Redis is neither host:port nor a URL like redis://user:password@host:6379/0, " +
	"redis+sentinel://user:password@host:26379,host:26379/MASTER/0 or redis+cluster://user:password@host:6379,host:6379")

// Open returns a client of the Redis at an address, which need not be up:
//
//	host:port
//	redis://user:password@host:port/0, rediss:// with TLS, unix:///path/of/socket
//	redis+sentinel://user:password@host:port,host:port/MASTER/0, rediss+sentinel:// with TLS
//	redis+cluster://user:password@host:port,host:port, rediss+cluster:// with TLS
//
// A password that is given goes before the one of the URL. Calls are not repeated: most of ours
// must not be.
func Open(address, password string) (redis.UniversalClient, error) {
	// The library logs to standard error, for the whole process, what each call returns as an error
	// anyway.
	redis.SetLogger(&logging.VoidLogger{})
	options, cluster, err := parse(address)
	if err != nil {
		return nil, err
	}
	if password != "" {
		options.Password = password
	}
	options.DialTimeout, options.PoolTimeout = OpTimeout, OpTimeout
	options.ReadTimeout, options.WriteTimeout = OpTimeout, OpTimeout
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = -1, 1
	// Nothing beyond the oldest protocol is needed, so nothing else is negotiated.
	options.Protocol, options.DisableIdentity = 2, true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	switch {
	case cluster:
		c := options.Cluster()
		c.MaxRedirects = 3
		return redis.NewClusterClient(c), nil
	case options.MasterName != "":
		return redis.NewFailoverClient(options.Failover()), nil
	}
	return redis.NewClient(options.Simple()), nil
}

// Check says whether Open takes an address.
func Check(address string) error {
	_, _, err := parse(address)
	return err
}

// Shown is an address as logs may have it: without its password.
func Shown(address string) string {
	scheme, _, isURL := strings.Cut(address, "://")
	if !isURL {
		return address
	}
	rest := address[len(scheme)+len("://"):]
	at := strings.LastIndex(rest, "@")
	if at < 0 {
		return address
	}
	user, _, secret := strings.Cut(rest[:at], ":")
	if secret {
		user += ":xxxxx"
	}
	return scheme + "://" + user + rest[at:]
}

// DefaultPrefix is what all our keys in Redis begin with.
const DefaultPrefix = "{livego}"

// Prefix returns what all keys begin with: the prefix, with braces around it if it has none, so
// that all keys lie in one slot of a Redis Cluster. Empty: DefaultPrefix.
func Prefix(prefix string) string {
	if prefix == "" {
		return DefaultPrefix
	}
	if _, after, found := strings.Cut(prefix, "{"); found && strings.Index(after, "}") > 0 {
		return prefix
	}
	return "{" + strings.NewReplacer("{", "", "}", "").Replace(prefix) + "}"
}

// parse reads an address.
func parse(address string) (options *redis.UniversalOptions, cluster bool, err error) {
	scheme, _, isURL := strings.Cut(address, "://")
	scheme, form, _ := strings.Cut(scheme, "+")
	switch {
	case !isURL:
		if !isHostPort(address) {
			return nil, false, ErrBadAddress
		}
		return &redis.UniversalOptions{Addrs: []string{address}}, false, nil
	case scheme == "unix" && form == "":
		return parseSingle(address)
	case scheme != "redis" && scheme != "rediss", form != "" && form != "sentinel" && form != "cluster":
		return nil, false, ErrBadAddress
	case form == "":
		return parseSingle(address)
	}
	options, path, err := parseMany(address, scheme == "rediss")
	if err != nil {
		return nil, false, err
	}
	if form == "cluster" {
		if path != "" {
			return nil, false, ErrBadAddress // there are no databases
		}
		return options, true, nil
	}
	master, db, numbered := strings.Cut(path, "/")
	if numbered {
		if options.DB, err = strconv.Atoi(db); err != nil || options.DB < 0 {
			return nil, false, ErrBadAddress
		}
	}
	if options.MasterName = master; master == "" {
		return nil, false, ErrBadAddress
	}
	options.SentinelUsername, options.SentinelPassword = "", ""
	return options, false, nil
}

// parseSingle reads a URL of one server, as the library does.
func parseSingle(address string) (*redis.UniversalOptions, bool, error) {
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, false, ErrBadAddress
	}
	return &redis.UniversalOptions{
		Addrs: []string{o.Addr}, Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
	}, false, nil
}

// parseMany reads a URL of several servers.
func parseMany(address string, secure bool) (*redis.UniversalOptions, string, error) {
	u, err := url.Parse(withOneHost(address))
	if err != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, "", ErrBadAddress
	}
	hosts := strings.Split(hostsOf(address), ",")
	if len(hosts) > maxAddrs {
		return nil, "", ErrBadAddress
	}
	for _, host := range hosts {
		if !isHostPort(host) {
			return nil, "", ErrBadAddress
		}
	}
	options := &redis.UniversalOptions{Addrs: hosts, Username: u.User.Username()}
	options.Password, _ = u.User.Password()
	if secure {
		host, _, _ := net.SplitHostPort(hosts[0])
		o, err := redis.ParseURL("rediss://" + net.JoinHostPort(host, "6379"))
		if err != nil {
			return nil, "", ErrBadAddress
		}
		options.TLSConfig = o.TLSConfig
		options.TLSConfig.ServerName = "" // each server has a name of its own
	}
	return options, strings.Trim(u.Path, "/"), nil
}

// hostsOf returns what stands between user and path in a URL.
func hostsOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	rest, _, _ = strings.Cut(rest, "/")
	return rest[strings.LastIndex(rest, "@")+1:]
}

// withOneHost returns the URL as net/url can read it: it takes one host only.
func withOneHost(address string) string {
	hosts := hostsOf(address)
	first, _, _ := strings.Cut(hosts, ",")
	return strings.Replace(address, hosts, first, 1)
}

func isHostPort(address string) bool {
	host, port, err := net.SplitHostPort(address)
	number, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && number > 0 && !strings.ContainsAny(host, " /@")
}
