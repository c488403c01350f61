package hls

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	// maxPartIndex bounds the index of a part: a minute of parts of 10 ms.
	maxPartIndex = 6000
	// maxAhead is by how much a request may name a segment after the last one (RFC 8216bis
	// 6.2.5.2).
	maxAhead = 2
	// aheadTime is how far a request may name a part after the last one (the same).
	aheadTime = 3 * time.Second
	// maxPartsAhead is that in parts if they last a second or longer.
	maxPartsAhead = 3
)

// Errors of delivery directives, in words for the client.
var (
	errBadNumber   = errors.New("_HLS_msn and _HLS_part take one decimal number each")
	errPartOnly    = errors.New("_HLS_part needs _HLS_msn")
	errTooFarAhead = errors.New("_HLS_msn or _HLS_part is too far in the future")
)

// directives are the delivery directives of a request (RFC 8216bis 6.2.5). Without msn or part
// these are -1.
type directives struct {
	msn  int64
	part int
	skip bool
}

// parseDirectives reads a query string. Other parameters and unknown values of _HLS_skip are left
// alone.
func parseDirectives(query string) (directives, error) {
	d := directives{msn: -1, part: -1}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "_HLS_msn":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || d.msn >= 0 {
				return d, errBadNumber
			}
			d.msn = int64(n)
		case "_HLS_part":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || d.part >= 0 {
				return d, errBadNumber
			}
			d.part = int(min(n, maxPartIndex+1))
		case "_HLS_skip":
			// v2 also leaves out date ranges where CAN-SKIP-DATERANGES is offered, and it is not.
			d.skip = d.skip || value == "YES" || value == "v2"
		}
	}
	if d.part >= 0 && d.msn < 0 {
		return d, errPartOnly
	}
	return d, nil
}

// tooFar says whether what a request waits for is further away than the standard lets a client ask
// for (RFC 8216bis 6.2.5.2).
func (d directives) tooFar(v *renditionView) bool {
	last, ok := v.lastComplete()
	if !ok || d.msn < 0 {
		return false
	}
	if d.msn > last+maxAhead {
		return true
	}
	seq, part, _ := v.last()
	limit := maxPartsAhead
	if 0 < v.partTarget && v.partTarget < time.Second {
		limit = int((aheadTime + v.partTarget - 1) / v.partTarget)
	}
	switch {
	case d.msn < seq || d.msn == last:
		return false // an index beyond the segment's last part stands for the next segment's first
	case d.msn == seq:
		return d.part > part+limit
	}
	return d.part > limit
}

// met says whether the view has what the request waits for (RFC 8216bis 6.2.5.2). An ended playlist
// has it all.
func (d directives) met(v *renditionView) bool {
	if d.msn < 0 || v.ended {
		return true
	}
	if d.part < 0 {
		last, ok := v.lastComplete()
		return ok && last >= d.msn
	}
	seq, part, ok := v.last()
	switch {
	case !ok || seq < d.msn:
		return false
	case seq == d.msn:
		s := v.segment(seq)
		return d.part <= part || s.complete && s.gap
	case seq == d.msn+1:
		// The segment is complete. Beyond its last part the request means the first one of this
		// one.
		s := v.segment(d.msn)
		return s == nil || s.gap || d.part < len(s.parts) || part >= 0 || v.segment(seq).complete
	}
	return true
}
