package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// suggest says what an unknown key of the table at path may have meant: the
// key of the same table that is written most alike, else one of the same name
// in another table, else what the table has.
func suggest(path, key string, known map[string]bool) string {
	var here []string
	elsewhere := ""
	best, least := "", 1+max(1, len(key)/3)
	for _, name := range slices.Sorted(maps.Keys(known)) {
		i := strings.LastIndexByte(name, '.') + 1
		if name[:i] != path {
			if name[i:] == strings.ToLower(key) && elsewhere == "" {
				elsewhere = name
			}
			continue
		}
		here = append(here, name[i:])
		if d := distance(strings.ToLower(key), name[i:]); d < least {
			best, least = name[i:], d
		}
	}
	switch {
	case best != "":
		return "did you mean " + strconv.Quote(best) + "?"
	case elsewhere != "":
		return "did you mean " + strconv.Quote(elsewhere) + "?"
	case len(here) == 0:
		return "no key is allowed here"
	default:
		return "known here: " + strings.Join(here, ", ")
	}
}

// distance is the number of letters to insert, delete, exchange or swap with
// their neighbour to make b of a. It gives up on long words: no key is long.
func distance(a, b string) int {
	if len(a) > maxShown {
		return len(a)
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			d := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				d = 1 + min(d, rows[i-1][j], rows[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
