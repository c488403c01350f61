package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"livego/internal/redisconn"
)

// address is a listen address; empty means that nobody listens.
func address(p *string) value {
	parse := func(s string) error {
		if s != "" {
			if err := checkAddress(s); err != nil {
				return err
			}
		}
		*p = s
		return nil
	}
	return value{kindAddress, parse, func() string { return *p }}
}

func checkAddress(s string) error {
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return fmt.Errorf(`%q is only a port, write ":%s"`, s, s)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf(`%q is not an address, write ":1935", "192.0.2.1:1935" or "[2001:db8::1]:1935"`, s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("the port of %q must be a number from 0 to 65535", s)
	}
	if strings.ContainsAny(host, "/ \t") {
		return fmt.Errorf("the host of %q is not a name or an address; leave out any scheme and path", s)
	}
	return nil
}

// redis is the address of Redis; empty means none. It may hold a password and is not repeated.
func redis(p *string) value {
	parse := func(s string) error {
		if s != "" && (redisconn.Check(s) != nil || strings.HasPrefix(s, ":")) {
			return errors.New("must be host:port, such as \"127.0.0.1:6379\", or a URL like redis://user:password@host:6379/0 (rediss: TLS), unix:///path, " +
				"redis+sentinel://user:password@host:26379,host:26379/MASTER/0 or redis+cluster://user:password@host:6379,host:6379")
		}
		*p = s
		return nil
	}
	return value{kindText, parse, func() string { return redisconn.Shown(*p) }}
}

// maxPrefix bounds redis_prefix, which stands before each key.
const maxPrefix = 64

// prefix begins the names of keys in Redis.
func prefix(p *string) value {
	parse := func(s string) error {
		if s == "" || len(s) > maxPrefix || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("must be 1 to %d visible characters of ASCII", maxPrefix)
		}
		*p = s
		return nil
	}
	return value{kindText, parse, func() string { return *p }}
}

// networks is a list of addresses and networks.
func networks(p *[]netip.Prefix) value {
	parse := func(s string) error {
		var list []netip.Prefix
		for _, word := range words(s) {
			prefix, err := parseNetwork(word)
			if err != nil {
				return err
			}
			list = append(list, prefix)
		}
		*p = list
		return nil
	}
	return value{kindList, parse, func() string { return strings.Trim(fmt.Sprint(*p), "[]") }}
}

func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an address or network, write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32", s)
	}
	return prefix.Masked(), nil
}

// origins is a list of web origins (RFC 6454).
func origins(p *[]string) value {
	parse := func(s string) error {
		list := words(s)
		for i, word := range list {
			u, err := url.Parse(word)
			if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "" {
				return fmt.Errorf("%q is not an origin, write https://example.org or http://example.org:3000", word)
			}
			list[i] = u.Scheme + "://" + strings.ToLower(u.Host)
		}
		*p = list
		return nil
	}
	return value{kindList, parse, func() string { return strings.Join(*p, ",") }}
}

// frameOrigins is a list of web origins as Content-Security-Policy knows them (CSP 3 2.3.1), with
// *. for all hosts of a domain and * for all origins.
func frameOrigins(p *[]string) value {
	parse := func(s string) error {
		list := words(s)
		for i, word := range list {
			if word == "*" {
				continue
			}
			var one []string
			plain := strings.Replace(word, "://*.", "://", 1)
			if err := origins(&one).parse(plain); err != nil || strings.ContainsAny(word, ";'\" ") || strings.Contains(plain, "*") {
				return fmt.Errorf("%q is not an origin, write https://example.org, https://*.example.org or *", word)
			}
			list[i] = strings.ToLower(strings.TrimSuffix(word, "/"))
		}
		*p = list
		return nil
	}
	return value{kindList, parse, func() string { return strings.Join(*p, ",") }}
}

// maxDomains bounds the names in one list, maxDomain the length of one, in bytes (RFC 1035 2.3.4).
const maxDomains, maxDomain = 100, 253

// domainName is a name with at least two labels (RFC 1123 2.1), those of other scripts as punycode.
const domainName = `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`

// domains is a list of names in the DNS, without *.
func domains(p *[]string) value {
	name := regexp.MustCompile(domainName)
	parse := func(s string) error {
		list := words(s)
		if len(list) > maxDomains {
			return fmt.Errorf("%d names are more than %d", len(list), maxDomains)
		}
		for i, word := range list {
			list[i] = strings.ToLower(strings.TrimSuffix(word, "."))
			if _, err := netip.ParseAddr(word); err == nil || len(word) > maxDomain || !name.MatchString(list[i]) {
				return fmt.Errorf("%q is not the name of a server, write live.example.org", word)
			}
		}
		*p = list
		return nil
	}
	return value{kindList, parse, func() string { return strings.Join(*p, ",") }}
}
