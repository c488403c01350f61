package config

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
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

// words splits what a flag, a variable or the file's reader gives for a list.
func words(s string) (list []string) {
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			list = append(list, word)
		}
	}
	return list
}
