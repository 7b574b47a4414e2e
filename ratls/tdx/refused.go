package tdx

// The names of kinds that a quote may have and this package does not read, for its errors.

func keyTypes(kind uint16) string {
	if kind == 3 {
		return "ECDSA P-384"
	}
	return ""
}

func teeTypes(kind uint32) string {
	if kind == 0 {
		return "SGX"
	}
	return ""
}

func bodyTypes(kind uint16) string {
	if kind == 1 {
		return "SGX enclave report"
	}
	return ""
}

func certificationTypes(kind uint16) string {
	names := [...]string{
		1: "PPID in clear",
		2: "PPID encrypted with RSA-2048",
		3: "PPID encrypted with RSA-3072",
		4: "PCK certificate alone",
		5: "PCK certificate chain",
		6: "QE report",
		7: "platform manifest",
	}
	if int(kind) < len(names) {
		return names[kind]
	}
	return ""
}

// named returns a name for use behind a number, "" if there is none.
func named(name string) string {
	if name == "" {
		return ""
	}
	return " (" + name + ")"
}
