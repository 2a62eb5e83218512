import { useId, useState } from 'react';
import type { Fault } from '../../wire.ts';
import { faultOf, post } from '../lib/api.ts';

export function Login({ done }: { done: () => void }) {
  const id = useId();
  const [token, setToken] = useState('');
  const [fault, setFault] = useState<Fault | null>(null);
  const submit = async () => {
    try {
      await post('/api/login', { token: token.trim() });
      done();
    } catch (thrown) {
      setFault(faultOf(thrown));
    }
  };
  return (
    <main className="login">
      <form
        className="panel login-box"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <div className="brand">
          <img src="/icon.svg" alt="" width="26" height="26" />
          <h1>Proctor</h1>
        </div>
        <label htmlFor={id}>Token</label>
        <input
          id={id}
          type="password"
          autoComplete="current-password"
          value={token}
          onChange={(event) => setToken(event.target.value)}
        />
        {fault !== null && (
          <p role="alert" className="tone-bad">
            {fault.message}
          </p>
        )}
        <button type="submit" className="button primary" disabled={token.trim() === ''}>
          Log in
        </button>
        <p className="dim">
          The token stands in the token file, or in the link that <code>proctor up</code> and{' '}
          <code>proctor console</code> print. A link logs in once: start the console again for another.
        </p>
      </form>
    </main>
  );
}
