package qvl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Level is Intel's rating of the versions of a part of a platform.
type Level struct {
	Status     Status
	Date       time.Time // it has Intel's fixes up to this date
	Advisories []string  // that apply to it, such as INTEL-SA-00615
}

// String returns the status, its date and the advisories, for people to read.
func (l Level) String() string {
	if l.Status == 0 {
		return "none"
	}
	words := []string{l.Status.String()}
	if !l.Date.IsZero() {
		words = append(words, "of", l.Date.UTC().Format(time.DateOnly))
	}
	return strings.Join(append(words, l.Advisories...), " ")
}

// Limits on lists: Intel's longest have some 10 levels, 10 identities and 30 advisories.
const (
	maxLevels     = 256
	maxIdentities = 64
	maxAdvisories = 256
	maxAdvisory   = 64 // bytes
)

// levelJSON is a Level as TCB info and identities write it.
type levelJSON struct {
	Date       string   `json:"tcbDate"`
	Status     string   `json:"tcbStatus"`
	Advisories []string `json:"advisoryIDs"`
}

func (j levelJSON) parse() (Level, error) {
	status, err := ParseStatus(j.Status)
	if err != nil {
		return Level{}, err
	}
	date, err := time.Parse(time.RFC3339, j.Date)
	if err != nil {
		return Level{}, fmt.Errorf("tcbDate %.40q: want RFC 3339", j.Date)
	}
	if len(j.Advisories) > maxAdvisories {
		return Level{}, fmt.Errorf("%d advisories, more than %d", len(j.Advisories), maxAdvisories)
	}
	for _, a := range j.Advisories {
		if err := checkAdvisory(a); err != nil {
			return Level{}, err
		}
	}
	return Level{status, date, j.Advisories}, nil
}

// checkAdvisory accepts an id that is safe to show in terminals and logs.
func checkAdvisory(id string) error {
	plain := func(r rune) bool {
		return r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	}
	if id == "" || len(id) > maxAdvisory || slices.ContainsFunc([]rune(id), func(r rune) bool { return !plain(r) }) {
		return fmt.Errorf("advisory %.40q: want letters, digits and hyphens, at most %d", id, maxAdvisory)
	}
	return nil
}

// A svnLevel rates an enclave or a module by its one security version number.
type svnLevel struct {
	isvSVN uint16
	Level
}

type svnLevelJSON struct {
	TCB struct {
		ISVSVN *uint16 `json:"isvsvn"`
	} `json:"tcb"`
	levelJSON
}

// parseSVNLevels returns the levels from high to low.
func parseSVNLevels(list []svnLevelJSON) ([]svnLevel, error) {
	if len(list) == 0 || len(list) > maxLevels {
		return nil, fmt.Errorf("%d TCB levels, want 1 to %d", len(list), maxLevels)
	}
	levels := make([]svnLevel, len(list))
	for i, j := range list {
		level, err := j.parse()
		if err == nil && j.TCB.ISVSVN == nil {
			err = errors.New("no isvsvn")
		}
		if err != nil {
			return nil, fmt.Errorf("TCB level %d: %w", i, err)
		}
		levels[i] = svnLevel{*j.TCB.ISVSVN, level}
	}
	slices.SortFunc(levels, func(a, b svnLevel) int { return int(b.isvSVN) - int(a.isvSVN) })
	for i := range levels[1:] {
		if levels[i].isvSVN == levels[i+1].isvSVN {
			return nil, fmt.Errorf("two TCB levels for isvsvn %d", levels[i].isvSVN)
		}
	}
	return levels, nil
}

// findSVNLevel returns the highest level that svn reaches.
func findSVNLevel(levels []svnLevel, svn uint16) (Level, error) {
	for _, l := range levels {
		if svn >= l.isvSVN {
			return l.Level, nil
		}
	}
	return Level{}, fmt.Errorf("ISVSVN %d is below every TCB level", svn)
}
