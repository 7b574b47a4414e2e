package acme

import "context"

// Account is the gateway's at one authority.
type Account struct {
	Directory  string
	URI        string   // "" if there is none yet
	Identities []string // what the authority calls itself in CAA records; empty if it does not say, or answer
}

// Accounts returns the account at each authority, in the order in which they are asked. It reads the
// store, and asks the authorities for what they call themselves. It may be called
// without Run.
func (m *Manager) Accounts(ctx context.Context) ([]Account, error) {
	list := make([]Account, len(m.authorities))
	for i, a := range m.authorities {
		r, err := m.loadAccount(ctx, a)
		if err != nil {
			return nil, err
		}
		list[i] = Account{Directory: a.Directory, URI: r.URI}
		if dir, err := a.client.GetDirectory(ctx); err == nil && dir.Meta != nil {
			list[i].Identities = dir.Meta.CAAIdentities
		}
	}
	return list, nil
}
