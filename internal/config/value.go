package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"livego/internal/redisconn"
)

// kind is the type of an option as its user sees it, in the help text and in errors.
type kind string

const (
	kindText     kind = "text"
	kindSecret   kind = "secret"
	kindAddress  kind = "address"
	kindBool     kind = "bool"
	kindNumber   kind = "number"
	kindDuration kind = "duration"
	kindSize     kind = "size"
	kindList     kind = "list"
	kindYAML     kind = "yaml"
	kindWord     kind = "word"
)

// value reads and prints one field of a Config.
type value struct {
	kind  kind
	parse func(string) error
	print func() string
}

func text(p *string) value {
	return value{kindText, func(s string) error { *p = s; return nil }, func() string { return *p }}
}

// secret is a text that is not printed.
func secret(p *string) value {
	return value{kindSecret, func(s string) error { *p = s; return nil }, func() string { return hidden(*p != "") }}
}

// hidden stands for a secret, and says only whether there is one.
func hidden(given bool) string {
	if given {
		return "(hidden)"
	}
	return ""
}

// nonEmpty is a text that must say something.
func nonEmpty(p *string) value {
	v := text(p)
	v.parse = func(s string) error {
		if s == "" {
			return fmt.Errorf("must not be empty")
		}
		*p = s
		return nil
	}
	return v
}

// choice is one of a few words, in any case. Nothing stands for the first one.
func choice[T ~string](p *T, words ...T) value {
	parse := func(s string) error {
		if s == "" {
			s = string(words[0])
		}
		i := slices.IndexFunc(words, func(w T) bool { return strings.EqualFold(string(w), s) })
		if i < 0 {
			return fmt.Errorf("%q is not known, use %s", s, oneOf(words))
		}
		*p = words[i]
		return nil
	}
	return value{kindText, parse, func() string { return string(*p) }}
}

// either is a choice of two words, of which the second one switches something on.
func either(p *bool, off, on string) value {
	var chosen string
	v := choice(&chosen, off, on)
	parse := v.parse
	v.parse = func(s string) error {
		if err := parse(s); err != nil {
			return err
		}
		*p = chosen == on
		return nil
	}
	v.print = func() string {
		if *p {
			return on
		}
		return off
	}
	return v
}

// word is a choice with words that YAML 1.1 takes for something else, such as off. Nothing is lost
// by that, as there are no others.
func word[T ~string](p *T, words ...T) value {
	v := choice(p, words...)
	v.kind = kindWord
	return v
}

func oneOf[T ~string](words []T) string {
	last := len(words) - 1
	var first []string
	for _, w := range words[:last] {
		first = append(first, string(w))
	}
	return strings.Join(first, ", ") + " or " + string(words[last])
}

// levelNames are the level names of LiveGo. The standard logger has four levels, so some share one.
var levelNames = []struct {
	name  string
	level slog.Level
}{
	{"trace", slog.LevelDebug}, {"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn},
	{"warning", slog.LevelWarn}, {"error", slog.LevelError}, {"fatal", slog.LevelError}, {"panic", slog.LevelError},
}

func level(p *slog.Level) value {
	parse := func(s string) error {
		words := make([]string, len(levelNames))
		for i, l := range levelNames {
			if strings.EqualFold(l.name, s) {
				*p = l.level
				return nil
			}
			words[i] = l.name
		}
		return fmt.Errorf("%q is not a level, use %s", s, oneOf(words))
	}
	return value{kindText, parse, func() string { return strings.ToLower(p.String()) }}
}

func boolean(p *bool) value {
	parse := func(s string) error {
		switch strings.ToLower(s) {
		case "true", "yes", "on", "1", "t":
			*p = true
		case "false", "no", "off", "0", "f", "": // an empty variable is false, as in LiveGo
			*p = false
		default:
			return fmt.Errorf("%q is not a bool, use true or false", s)
		}
		return nil
	}
	return value{kindBool, parse, func() string { return strconv.FormatBool(*p) }}
}

// number is a whole number from least to most.
func number(p *int, least, most int) value {
	parse := func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		if n < least || n > most {
			return outside(s, strconv.Itoa(least), strconv.Itoa(most), most == math.MaxInt)
		}
		*p = n
		return nil
	}
	return value{kindNumber, parse, func() string { return strconv.Itoa(*p) }}
}

// scaled is a whole number from 0 to most, kept in another unit.
func scaled(most int, set func(int), get func() int) value {
	var n int
	v := number(&n, 0, most)
	parse := v.parse
	v.parse = func(s string) error {
		if err := parse(s); err != nil {
			return err
		}
		set(n)
		return nil
	}
	v.print = func() string { return strconv.Itoa(get()) }
	return v
}

func outside(s, least, most string, unbounded bool) error {
	if unbounded {
		return fmt.Errorf("%s is too small, it must be at least %s", s, least)
	}
	return fmt.Errorf("%s is out of range, it must be from %s to %s", s, least, most)
}

// unbounded is the upper bound of durations that have none of their own.
const unbounded = time.Duration(math.MaxInt64)

// duration is a number of seconds or a Go duration, from least to most.
func duration(p *time.Duration, least, most time.Duration) value {
	parse := func(s string) error {
		d, err := parseDuration(s)
		if err != nil {
			return err
		}
		if d < least || d > most {
			return outside(s, least.String(), most.String(), most == unbounded)
		}
		*p = d
		return nil
	}
	return value{kindDuration, parse, func() string { return p.String() }}
}

func parseDuration(s string) (time.Duration, error) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		if seconds > int64(unbounded/time.Second) || seconds < -int64(unbounded/time.Second) {
			return 0, fmt.Errorf("%s seconds is too long", s)
		}
		return time.Duration(seconds) * time.Second, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time, write whole seconds (10) or a number with a unit (1.5s, 250ms, 2m)", s)
	}
	return d, nil
}

// sizeUnits are longest first, since each is looked for at the end of the text.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

// size is a number of bytes, from least to most.
func size[T int | int64](p *T, least, most int) value {
	parse := func(s string) error {
		n, err := parseSize(s)
		if err != nil {
			return err
		}
		if n < int64(least) || n > int64(most) {
			return outside(s, printSize(least), printSize(most), most == math.MaxInt)
		}
		*p = T(n)
		return nil
	}
	return value{kindSize, parse, func() string { return printSize(int(*p)) }}
}

func parseSize(s string) (int64, error) {
	number, unit := s, int64(1)
	for _, u := range sizeUnits {
		if len(s) > len(u.name) && strings.EqualFold(s[len(s)-len(u.name):], u.name) {
			number, unit = strings.TrimSpace(s[:len(s)-len(u.name)]), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a size, write bytes (67108864) or a whole number with a unit (512KiB, 64MiB, 1GiB)", s)
	}
	if n > math.MaxInt64/unit || n < -math.MaxInt64/unit {
		return 0, fmt.Errorf("%s is too large", s)
	}
	return n * unit, nil
}

func printSize(n int) string {
	for _, u := range []struct {
		name  string
		bytes int
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.Itoa(n/u.bytes) + u.name
		}
	}
	return strconv.Itoa(n)
}

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

// words splits what a flag, a variable or the file's reader gives for a list.
func words(s string) (list []string) {
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			list = append(list, word)
		}
	}
	return list
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
