package server

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"livego/internal/media"
)

// PublishLimits are what a publisher may send. The zero value: anything. They are written and read
// by the names of the options.
type PublishLimits struct {
	// BitRate is in bit/s, the mean of five seconds.
	BitRate int
	// Picture is the largest one.
	Picture Picture
	// FrameRate is in pictures per second, the mean of five seconds.
	FrameRate int
	// KeyFrameInterval is the time from one key frame to the next, Time that of a whole session.
	KeyFrameInterval, Time time.Duration
	// Codecs are those that may be; nil: all.
	Codecs []media.Codec
	// WarnOnly closes nobody.
	WarnOnly bool
}

// Picture is the size of a picture, by its longer and its shorter side in pixels: however it is
// turned.
type Picture struct{ Long, Short int }

// The names of the limits.
const (
	limitBitRate     = "publish_max_bit_rate"
	limitPicture     = "publish_max_picture"
	limitFrameRate   = "publish_max_frame_rate"
	limitKeyInterval = "publish_max_key_frame_interval"
	limitTime        = "publish_max_time"
	limitCodecs      = "publish_codecs"
	limitAction      = "publish_limits"
)

// PublishLimitNames returns the names of all limits, as the options are called.
func PublishLimitNames() []string {
	return []string{limitBitRate, limitPicture, limitFrameRate, limitKeyInterval, limitTime, limitCodecs, limitAction}
}

const (
	// maxPicture bounds the side of a picture, maxFrameRate the pictures of a second that can be
	// written.
	maxPicture   = 65535
	maxFrameRate = 1000
	// maxLimitTime bounds times, so that seconds for hours are no overflow.
	maxLimitTime = 365 * 24 * time.Hour
)

// Set changes the limit of a name to what is written. An empty text and 0 take it away. The error
// says what can be written.
func (l *PublishLimits) Set(name, text string) (err error) {
	text = strings.TrimSpace(text)
	switch name {
	case limitBitRate:
		l.BitRate, err = parseBitRate(text)
	case limitPicture:
		l.Picture, err = parsePicture(text)
	case limitFrameRate:
		l.FrameRate, err = parseWhole(text, maxFrameRate)
	case limitKeyInterval:
		l.KeyFrameInterval, err = parseLimitTime(text)
	case limitTime:
		l.Time, err = parseLimitTime(text)
	case limitCodecs:
		l.Codecs, err = parseCodecs(text)
	case limitAction:
		l.WarnOnly, err = parseAction(text)
	default:
		return fmt.Errorf("there is no limit %.64q, use one of %s", name, strings.Join(PublishLimitNames(), ", "))
	}
	return err
}

// setAll sets several limits.
func (l *PublishLimits) setAll(texts map[string]string) error {
	for name, text := range texts {
		if err := l.Set(name, text); err != nil {
			return fmt.Errorf("limits: %.64s: %w", name, err)
		}
	}
	return nil
}

// Text returns the limit of a name as Set reads it.
func (l *PublishLimits) Text(name string) string {
	switch name {
	case limitBitRate:
		return strconv.Itoa(l.BitRate)
	case limitPicture:
		if l.Picture.Long > 0 {
			return fmt.Sprintf("%dx%d", l.Picture.Long, l.Picture.Short)
		}
	case limitFrameRate:
		return strconv.Itoa(l.FrameRate)
	case limitKeyInterval:
		return l.KeyFrameInterval.String()
	case limitTime:
		return l.Time.String()
	case limitCodecs:
		return strings.Join(codecNames(l.Codecs), ",")
	case limitAction:
		if l.WarnOnly {
			return "warn"
		}
		return "close"
	}
	return ""
}

// none says whether there is no limit.
func (l *PublishLimits) none() bool {
	return l.BitRate == 0 && l.Picture.Long == 0 && l.FrameRate == 0 && l.KeyFrameInterval == 0 && l.Time == 0 && len(l.Codecs) == 0
}

func parseWhole(text string, most int) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%.32q is not a whole number from 0 to %d", text, most)
	}
	return n, nil
}

// parseBitRate reads bits per second, with k or M (thousands, millions) behind.
func parseBitRate(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	number, unit := strings.ToLower(text), 1.0
	for _, tail := range []string{"bit/s", "bps"} {
		number = strings.TrimSuffix(number, tail)
	}
	for tail, factor := range map[string]float64{"k": 1e3, "m": 1e6, "g": 1e9} {
		if cut, ok := strings.CutSuffix(number, tail); ok {
			number, unit = cut, factor
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(n >= 0 && n*unit <= math.MaxInt32*1e3) {
		return 0, fmt.Errorf("%.32q is not a bit rate, write bits per second (6000000) or a number with k or M (6000k, 6M)", text)
	}
	return int(n * unit), nil
}

// parsePicture reads WIDTHxHEIGHT.
func parsePicture(text string) (Picture, error) {
	if text == "" || text == "0" {
		return Picture{}, nil
	}
	w, h, found := strings.Cut(strings.ToLower(text), "x")
	width, errW := parseWhole(w, maxPicture)
	height, errH := parseWhole(h, maxPicture)
	if !found || errW != nil || errH != nil || width == 0 || height == 0 {
		return Picture{}, fmt.Errorf("%.32q is not the size of a picture, write 1920x1080", text)
	}
	return Picture{Long: max(width, height), Short: min(width, height)}, nil
}

func parseLimitTime(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, whole := strconv.ParseFloat(text, 64); whole == nil && seconds < maxLimitTime.Seconds() {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	if err != nil || d < 0 || d > maxLimitTime {
		return 0, fmt.Errorf("%.32q is not a time, write seconds (10) or a number with a unit (1.5s, 2m, 12h)", text)
	}
	return d, nil
}

// limitable are the codecs that can be named.
var limitable = []media.Codec{
	media.H264, media.HEVC, media.VVC, media.AV1, media.VP8, media.VP9,
	media.AAC, media.MP3, media.Opus, media.FLAC, media.AC3, media.EAC3, media.PCMA, media.PCMU, media.Speex,
}

// otherNames are what else people call them.
var otherNames = map[string]media.Codec{
	"H.264": media.H264, "AVC": media.H264, "H265": media.HEVC, "H.265": media.HEVC, "H266": media.VVC, "AC3": media.AC3, "EAC3": media.EAC3, "E-AC3": media.EAC3,
}

func parseCodecs(text string) (list []media.Codec, err error) {
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		codec := otherNames[strings.ToUpper(word)]
		if i := slices.IndexFunc(limitable, func(c media.Codec) bool { return strings.EqualFold(string(c), word) }); i >= 0 {
			codec = limitable[i]
		}
		if codec == media.Unknown {
			return nil, fmt.Errorf("%.32q is not a codec, use %s", word, strings.Join(codecNames(limitable), ", "))
		}
		list = append(list, codec)
	}
	return list, nil
}

func codecNames(codecs []media.Codec) []string {
	names := make([]string, len(codecs))
	for i, c := range codecs {
		names[i] = string(c)
	}
	return names
}

func parseAction(text string) (warnOnly bool, err error) {
	switch strings.ToLower(text) {
	case "", "close":
		return false, nil
	case "warn":
		return true, nil
	}
	return false, errors.New("must be close or warn")
}
