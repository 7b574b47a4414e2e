package attestation

import "sallyport/ratls/internal/msgpack"

// Version 1 as serde writes it: its members in the order of their declaration, a
// Vec<u8> as integers, the bytes of events as bin, and no version where the format is 1.

func (a *Attestation) appendV1(to []byte) []byte {
	to = msgpack.AppendMap(to, 3)
	to = msgpack.AppendText(to, "version")
	to = msgpack.AppendUint(to, 1)
	to = appendTag(to, "platform", platforms[platformTDX].kind)
	to = a.appendTDX(to)
	to = appendTag(to, "stack", a.Stack.kind())
	return a.appendStack(to)
}

// appendTag writes a member of {kind, data} up to data.
func appendTag(to []byte, name, kind string) []byte {
	to = msgpack.AppendText(to, name)
	to = msgpack.AppendMap(to, 2)
	to = msgpack.AppendText(to, "kind")
	to = msgpack.AppendText(to, kind)
	return msgpack.AppendText(to, "data")
}

func (a *Attestation) appendTDX(to []byte) []byte {
	to = msgpack.AppendMap(to, 2)
	to = msgpack.AppendText(to, "quote")
	to = msgpack.AppendInts(to, a.Quote)
	to = msgpack.AppendText(to, "event_log")
	to = msgpack.AppendArray(to, len(a.Events))
	for _, e := range a.Events {
		to = msgpack.AppendMap(to, 5+e.Format.members())
		to = msgpack.AppendText(to, "imr")
		to = msgpack.AppendUint(to, uint32(e.IMR))
		to = msgpack.AppendText(to, "event_type")
		to = msgpack.AppendUint(to, e.Type)
		to = msgpack.AppendText(to, "digest")
		to = msgpack.AppendBin(to, e.Digest)
		to = msgpack.AppendText(to, "event")
		to = msgpack.AppendText(to, e.Name)
		to = msgpack.AppendText(to, "event_payload")
		to = msgpack.AppendBin(to, e.Payload)
		to = e.Format.append(to)
	}
	return to
}

func (a *Attestation) appendStack(to []byte) []byte {
	n := requiredStack[StackDstack]
	if a.Stack == StackPod || a.PodPayload != "" { // the latter alone is refused when it is read
		n = requiredStack[StackPod]
	}
	to = msgpack.AppendMap(to, n)
	to = msgpack.AppendText(to, "report_data")
	to = msgpack.AppendInts(to, a.ReportData[:])
	to = msgpack.AppendText(to, "runtime_events")
	to = msgpack.AppendArray(to, len(a.RuntimeEvents))
	for _, e := range a.RuntimeEvents {
		to = msgpack.AppendMap(to, 2+e.Format.members())
		to = msgpack.AppendText(to, "event")
		to = msgpack.AppendText(to, e.Name)
		to = msgpack.AppendText(to, "payload")
		to = msgpack.AppendBin(to, e.Payload)
		to = e.Format.append(to)
	}
	to = msgpack.AppendText(to, "config")
	to = msgpack.AppendText(to, a.Config)
	if n == requiredStack[StackPod] {
		to = msgpack.AppendText(to, "report_data_payload")
		to = msgpack.AppendText(to, a.PodPayload)
	}
	return to
}

func (s Stack) kind() string {
	if int(s) < len(stackKinds) {
		return stackKinds[s]
	}
	return "" // refused when it is read
}

// members is how many members say the format.
func (f Format) members() int {
	if f == FormatV1 {
		return 0
	}
	return 1
}

func (f Format) append(to []byte) []byte {
	if f == FormatV1 {
		return to
	}
	return msgpack.AppendUint(msgpack.AppendText(to, "version"), uint32(f)+1)
}
