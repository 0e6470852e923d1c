import { archiveBugs } from './archive-bugs.ts'
import { bundleBugs } from './bundle-bugs.ts'
import { bulkLoadBugs } from './bulk-load-bugs.ts'
import { checkpointBugs } from './checkpoint-bugs.ts'
import { cliBugs } from './cli-bugs.ts'
import { engineBugs } from './engine-bugs.ts'
import { holdBugs } from './hold-bugs.ts'
import { hotbackupBugs } from './hotbackup-bugs.ts'
import { pauseBugs } from './pause-bugs.ts'
import { overtakenBackupBugs } from './overtaken-backup-bugs.ts'
import { plainCopyBugs } from './plain-copy-bugs.ts'
import type { PlantedBug } from './planted-bug.ts'
import { promotionBugs } from './promotion-bugs.ts'
import { recoveryBugs } from './recovery-bugs.ts'
import { retentionBugs } from './retention-bugs.ts'
import { volumeBugs } from './volume-bugs.ts'
import { standbyBugs } from './standby-bugs.ts'
import { sharedTableBugs } from './shared-table-bugs.ts'
import { walBugs } from './wal-bugs.ts'

/** All planted bugs, package by package. */
export const bugs: readonly PlantedBug[] = [
  ...walBugs,
  ...holdBugs,
  ...engineBugs,
  ...checkpointBugs,
  ...bulkLoadBugs,
  ...pauseBugs,
  ...archiveBugs,
  ...bundleBugs,
  ...hotbackupBugs,
  ...overtakenBackupBugs,
  ...plainCopyBugs,
  ...recoveryBugs,
  ...promotionBugs,
  ...standbyBugs,
  ...retentionBugs,
  ...volumeBugs,
  ...sharedTableBugs,
  ...cliBugs,
]
