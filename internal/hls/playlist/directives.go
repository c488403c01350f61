package playlist

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxPartIndex bounds the index of a part: a minute of parts of 10 ms.
	MaxPartIndex = 6000
	// maxAhead is by how much a request may name a segment after the last one (RFC 8216bis
	// 6.2.5.2).
	maxAhead = 2
	// aheadTime is how far a request may name a part after the last one at least (the same).
	aheadTime = 3 * time.Second
	// maxPartsAhead is that in parts if they last a second or longer.
	maxPartsAhead = 3
)

// Errors of delivery directives, in words for the client.
var (
	ErrBadNumber   = errors.New("_HLS_msn and _HLS_part take one decimal number each")
	ErrPartOnly    = errors.New("_HLS_part needs _HLS_msn")
	ErrTooFarAhead = errors.New("_HLS_msn or _HLS_part is too far in the future")
)

// Directives are the delivery directives of a request (RFC 8216bis 6.2.5). Without msn or part
// these are -1.
type Directives struct {
	MSN  int64
	Part int
	Skip bool
}

// ParseDirectives reads a query string. Other parameters and unknown values of _HLS_skip are left
// alone.
func ParseDirectives(query string) (Directives, error) {
	d := Directives{MSN: -1, Part: -1}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "_HLS_msn":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || d.MSN >= 0 {
				return d, ErrBadNumber
			}
			d.MSN = int64(n)
		case "_HLS_part":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || d.Part >= 0 {
				return d, ErrBadNumber
			}
			d.Part = int(min(n, MaxPartIndex+1))
		case "_HLS_skip":
			// v2 also leaves out date ranges where CAN-SKIP-DATERANGES is offered, and it is not.
			d.Skip = d.Skip || value == "YES" || value == "v2"
		}
	}
	if d.Part >= 0 && d.MSN < 0 {
		return d, ErrPartOnly
	}
	return d, nil
}

// TooFar says whether what a request waits for is further away than the standard lets a client ask
// for (RFC 8216bis 6.2.5.2), and than a target duration: hls.js (1.7.4) without Low-Latency mode
// asks for the last part of a segment that is under way, and stood still for every 400.
func (d Directives) TooFar(v *View) bool {
	last, ok := v.lastComplete()
	if !ok || d.MSN < 0 {
		return false
	}
	if d.MSN > last+maxAhead {
		return true
	}
	seq, part, _ := v.Last()
	limit := maxPartsAhead
	if v.PartTarget > 0 {
		limit = max(limit, int((max(aheadTime, v.Target)+v.PartTarget-1)/v.PartTarget))
	}
	switch {
	case d.MSN < seq || d.MSN == last:
		return false // an index beyond the segment's last part stands for the next segment's first
	case d.MSN == seq:
		return d.Part > part+limit
	}
	return d.Part > limit
}

// Met says whether the view has what the request waits for (RFC 8216bis 6.2.5.2). An ended playlist
// has it all.
func (d Directives) Met(v *View) bool {
	if d.MSN < 0 || v.Ended {
		return true
	}
	if d.Part < 0 {
		last, ok := v.lastComplete()
		return ok && last >= d.MSN
	}
	seq, part, ok := v.Last()
	switch {
	case !ok || seq < d.MSN:
		return false
	case seq == d.MSN:
		s := v.Segment(seq)
		return d.Part <= part || s.Complete && s.Gap
	case seq == d.MSN+1:
		// The segment is complete. Beyond its last part the request means the first one of this
		// one.
		s := v.Segment(d.MSN)
		return s == nil || s.Gap || d.Part < len(s.Parts) || part >= 0 || v.Segment(seq).Complete
	}
	return true
}
