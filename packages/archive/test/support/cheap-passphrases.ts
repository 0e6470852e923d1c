/** Passphrases cost a second each time one is set or tried, by design of scrypt; where that is not what a test is about, a millisecond. */
import { Encrypter } from 'age-encryption'
import { vi } from 'vitest'

/** Makes a passphrase cost a millisecond, for whatever the archive stores until mocks are restored. */
export function makePassphrasesCheap(): void {
  const setPassphrase = Reflect.get(Encrypter.prototype, 'setPassphrase')
  vi.spyOn(Encrypter.prototype, 'setPassphrase').mockImplementation(function (this: Encrypter, passphrase) {
    setPassphrase.call(this, passphrase)
    this.setScryptWorkFactor(10)
  })
}
