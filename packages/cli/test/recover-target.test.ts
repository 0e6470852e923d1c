import { expect, test } from 'vitest'
import { targetOf } from '../src/commands/recover.ts'
import { parseCommandLine } from '../src/parser.ts'

const atUs = Date.UTC(2026, 10, 24, 18, 30) * 1000

test.each([
  ['--until-lsn 5 --before', { type: 'lsn', lsn: 5, edge: 'before' }],
  ['--until-lsn 5 --through', { type: 'lsn', lsn: 5, edge: 'through' }],
  ['--until-time 2026-11-24T18:30:00Z --before', { type: 'time', atUs, edge: 'before' }],
  ['--until-time 2026-11-24T18:30:00.000001Z --through', { type: 'time', atUs: atUs + 1, edge: 'through' }],
  ['--until-mark release --before', { type: 'mark', name: 'release', edge: 'before' }],
  ['--until-mark release --through', { type: 'mark', name: 'release', edge: 'through' }],
  ['', { type: 'latest' }],
])('recover %s means just that record, kept or not', (options, target) => {
  const request = parseCommandLine(`recover -h home --from a ${options}`.trim().split(' '), '1.2.3')
  expect(request.type === 'run' ? targetOf(request.args) : request).toEqual(target)
})
