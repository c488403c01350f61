package repair

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"livego/internal/codec"
	"livego/internal/media"
	"livego/internal/nal"
)

const (
	// maxSets bounds the parameter sets of one type, which is what a configuration record holds of
	// SPS.
	maxSets = 31
	// maxSetSize bounds one of them: a record has 16 bits for its size.
	maxSetSize = 1<<16 - 1
	// maxPictureSetChanges is how often picture parameter sets alone may change before they are
	// left to the pictures: each change is a new track, at which players begin anew.
	maxPictureSetChanges = 8
)

// parameterSets are the VPS, SPS and PPS of a track as they are in force. Of each type the newest
// comes first.
type parameterSets struct {
	codec         media.Codec
	vps, sps, pps []parameterSet
	// changed: a set is in force that the header does not have.
	changed bool
	// pictureChanges counts the changes of picture parameter sets alone.
	pictureChanges int
}

type parameterSet struct {
	b  []byte
	id uint32
}

func (s *parameterSets) of(k nal.Kind) *[]parameterSet {
	switch k {
	case nal.VPS:
		return &s.vps
	case nal.SPS:
		return &s.sps
	}
	return &s.pps
}

// replace takes the sets of a header.
func (s *parameterSets) replace(sets [][]byte) {
	s.vps, s.sps, s.pps, s.changed = nil, nil, nil, false
	for _, b := range sets {
		b = nal.TrimZeros(b)
		if k, ok := nal.KindOf(s.codec, b); ok && k.IsParameterSet() {
			id, _ := codec.SetID(s.codec, k, b)
			list := s.of(k)
			*list = append(*list, parameterSet{b, id})
		}
	}
}

// has says whether a set is in force.
func (s *parameterSets) has(k nal.Kind, b []byte) bool {
	list := *s.of(k)
	for i := range list {
		if bytes.Equal(list[i].b, b) {
			return true
		}
	}
	return false
}

// learn takes the sets of a picture. A picture with sets of all types that the header has brings
// all that are in force; else they take the place of those with their numbers.
func (s *parameterSets) learn(units []unit) {
	var count [nal.Filler + 1]int
	var fresh [nal.Filler + 1]bool
	news := false
	for i := range units {
		if x := &units[i]; x.kind.IsParameterSet() && len(x.b) <= maxSetSize {
			count[x.kind]++
			fresh[x.kind] = fresh[x.kind] || !s.has(x.kind, x.b)
			news = news || fresh[x.kind]
		}
	}
	if !news {
		return
	}
	if !fresh[nal.SPS] && !fresh[nal.VPS] && len(s.pps) > 0 {
		if s.pictureChanges++; s.pictureChanges > maxPictureSetChanges {
			return
		}
	}
	s.changed = true
	whole := count[nal.SPS] > 0 && count[nal.PPS] > 0 && (count[nal.VPS] > 0 || len(s.vps) == 0)
	if whole {
		s.vps, s.sps, s.pps = nil, nil, nil
	}
	for i := len(units) - 1; i >= 0; i-- {
		if x := &units[i]; x.kind.IsParameterSet() && len(x.b) <= maxSetSize {
			s.put(x.kind, x.b)
		}
	}
}

// put puts a set first of its type, in the place of the one with its number.
func (s *parameterSets) put(k nal.Kind, b []byte) {
	id, ok := codec.SetID(s.codec, k, b)
	if !ok {
		return
	}
	before := *s.of(k)
	list := append(make([]parameterSet, 0, len(before)+1), parameterSet{bytes.Clone(b), id})
	for _, o := range before {
		if o.id != id && len(list) < maxSets {
			list = append(list, o)
		}
	}
	*s.of(k) = list
}

// units returns all sets.
func (s *parameterSets) units() (all [][]byte) {
	for _, list := range [...][]parameterSet{s.vps, s.sps, s.pps} {
		for _, set := range list {
			all = append(all, set.b)
		}
	}
	return all
}

// interlaced says whether pictures of H.264 may be fields. What is not known may be anything.
func (s *parameterSets) interlaced() bool {
	for _, set := range s.sps {
		var parsed h264.SPS
		if parsed.Unmarshal(set.b) != nil || !parsed.FrameMbsOnlyFlag {
			return true
		}
	}
	return len(s.sps) == 0
}

// record makes a configuration record of what a header holds instead: NAL units in the forms of the
// bitstream, or a record whose parameter sets have start codes before them, or whose lengths are
// not of 4 bytes.
func (p *pictures) record(t *media.Track) ([]byte, bool) {
	var sets [][]byte
	switch {
	case len(t.Config) == 0:
		return nil, false
	case nal.HasStartCode(t.Config):
		sets = split(nil, t.Config)
	case fills(t.Config, lengthSize):
		for rest := t.Config; len(rest) > 0; {
			var b []byte
			b, rest, _ = nal.Next(rest, lengthSize)
			sets = split(sets, b)
		}
	default:
		for _, b := range t.ParameterSets {
			sets = split(sets, b)
		}
		if t.Parsed && p.clean(t.ParameterSets, sets) {
			return codec.WithLengths(t, lengthSize), t.NALLengthSize != lengthSize
		}
	}
	config, err := codec.Record(p.track.codec, sets)
	if err != nil {
		return nil, false
	}
	p.sets.replace(sets)
	p.interlaced = p.track.codec == media.H264 && p.sets.interlaced()
	return config, true
}

// fills says whether lengths of that size take b up.
func fills(b []byte, size int) bool {
	for len(b) > 0 {
		_, rest, ok := nal.Next(b, size)
		if !ok {
			return false
		}
		b = rest
	}
	return true
}

// clean says whether the sets of a header are as they should be.
func (p *pictures) clean(header, sets [][]byte) bool {
	if len(header) != len(sets) {
		return false
	}
	for i := range header {
		if len(header[i]) != len(sets[i]) && len(nal.TrimZeros(header[i])) != len(sets[i]) || !valid(p.track.codec, header[i]) {
			return false
		}
	}
	return true
}

// split appends the NAL units of b, which has start codes or is one.
func split(units [][]byte, b []byte) [][]byte {
	for {
		unit, rest, ok := nal.NextInStream(b)
		if !ok {
			return units
		}
		b = rest
		if len(unit) > 0 {
			units = append(units, unit)
		}
	}
}
