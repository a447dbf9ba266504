/* The throttle of backup_codes: a guess that was answered is counted, whatever the caller does with the transaction.
 * core/src/throttle.rs and src/api/attempt.rs are this; README.md beside this file says how it is run.
 *
 * One user, N sessions, each with OPS operations spread over transactions that commit, roll back, roll back to a savepoint,
 * are prepared, or whose backend dies; an issuer's reset; time that ends a lock TICKS times.
 *
 * Promises:
 *   I1  no guess is evaluated while a lock is due;
 *   I2  while nothing was rolled back, nobody is told `locked` but by the row's newest version, and whoever holds the row finds
 *       no failure that it does not know;
 *   I3  in the end the row and the memory together know of every guess that was evaluated and wrong, or charged and without a
 *       verdict, since the last reset; and the memory adds nothing if all of them were committed.
 *
 * Mutations, each of which breaks one of them:
 *   EVAL_FIRST   evaluates before the row is held
 *   CHARGE_LATE  charges under the lock of the row, but after the evaluation
 *   SETTLE_CB    keeps what is not committed apart, and settles it in a callback after the commit
 *   KEEP_ITEM    keeps the note of what may be freed over ROLLBACK TO
 *   FREE_ANY     frees an odometer without a look whether somebody charged meanwhile
 *   SAME_BASE    begins every odometer at the same reading
 *   PLAIN_COUNT  lets the plain read answer `locked` from the count, not from a lock that was judged
 *   RESET_NOMARK writes no mark with generate, unlock and the like
 *   RESET_NOW    clears the memory with generate, unlock and the like, at once instead of by the mark
 *   NO_RECHECK   lets the plain read believe a memory that was read once
 *   NO_DERIVED   derives no lock from charges whose judge died
 *   EVICT        gives an odometer away while its charges are young
 * NO_PREPARE leaves PREPARE TRANSACTION out, ONLY_I2 leaves I1 out.
 */
#ifndef N
#define N 2
#endif
#ifndef OPS
#define OPS 2
#endif
#ifndef LAST_OPS
#define LAST_OPS OPS    /* of the last session */
#endif
#ifndef MAXF
#define MAXF 2          /* max_failures */
#endif
#ifndef TICKS
#define TICKS 1
#endif
#ifdef FREE_ANY
#define UNTOUCHED true
#else
#define UNTOUCHED (ecnt == icnt)
#endif
#ifdef SAME_BASE
#define FRESHBASE einc = 1
#else
#define FRESHBASE einc = incs
#endif
#ifdef SETTLE_CB
#define CHARGE mem++; mine++; if :: lvl == 1 -> minesub++ :: else fi
#else
#define CHARGE \
     if :: einc == 0 -> incs++; FRESHBASE; ecnt = 0; elock = 0; euntil = 0 :: else fi; \
     if :: F > A && F - A >= MAXF -> elock = ecnt; A = F :: else fi; \
     ecnt++; elast = now
#endif
#if defined(SETTLE_CB) || defined(NO_RECHECK)
#define SAMEENTRY true
#else
#define SAMEENTRY (einc == cinc && elock == clock)
#endif
#define NONE 255
#define PREP 254

typedef Row {           /* a version of the account row */
  byte f;               /* consecutive failures */
  byte a;               /* f at the last lock */
  byte until;           /* locked while until > now */
  byte minc; byte mcnt; /* the mark: incarnation and count of the memory entry (one bigint in the real thing) */
  byte e;               /* ghost: E at the last reset */
};
Row C;                  /* committed */
Row V[2];               /* of the transaction that holds the row: level 0, and within its savepoint */
bool Vset[2];
byte owner = NONE;      /* who holds the row */
byte olevel;            /* at which level it was taken */

/* the memory entry; einc = 0: there is none */
byte einc; byte ecnt; byte elock; byte euntil; byte elast;
byte incs;              /* incarnations so far */

byte now = 1;
byte E;                 /* ghost: wrong guesses evaluated, and charges without a verdict (an error in between), ever */
byte gE; byte gUntil;   /* ghost: the last lock that was due, as a number of E and a time */
bool dirty;             /* ghost: some transaction with an attempt did not commit */
byte done;
byte prepared = 0;      /* 1: a prepared transaction holds the row */
Row PV;                 /* its version */
bool PVset;

#ifdef SETTLE_CB
byte mem;               /* charges of all, in flight or standing */
#define UNKNOWN(r) (mem)
#endif

/* F, A, U: effective failures, failures at the last lock, end of the lock */
inline effective(r) {
#ifdef SETTLE_CB
  u = mem - mine; F = r.f + u; A = r.a; U = (euntil > r.until -> euntil : r.until);
#else
  if
  :: einc == 0 -> u = 0; m = 0;
  :: einc != 0 && r.minc == einc && r.mcnt <= ecnt -> m = r.mcnt; u = ecnt - m;
  :: else -> m = 0; u = ecnt;
  fi;
  F = r.f + u;
  if
  :: einc != 0 && elock > m -> A = r.f + (elock - m); U = euntil;
  :: else -> A = r.a; U = r.until;
  fi;
#endif
}

inline copyrow(t, s) { t.f = s.f; t.a = s.a; t.until = s.until; t.minc = s.minc; t.mcnt = s.mcnt; t.e = s.e }

/* what this session sees of the row */
inline readrow() {
  if
  :: owner == me && Vset[1] -> copyrow(r, V[1])
  :: owner == me && !Vset[1] && Vset[0] -> copyrow(r, V[0])
  :: else -> copyrow(r, C)
  fi
}
inline writerow() { if :: lvl == 1 -> copyrow(V[1], r); Vset[1] = 1 :: else -> copyrow(V[0], r); Vset[0] = 1 fi }

inline clearrow(x) { x.f = 0; x.a = 0; x.until = 0; x.minc = 0; x.mcnt = 0; x.e = 0 }
inline dropnew(k) { Vset[k] = 0; clearrow(V[k]) }

/* the savepoint, if any, is rolled back; the row is free from here on, the callback runs later */
inline undo_sub() {
  atomic {
    if :: owner == me && olevel == 1 -> owner = NONE; olevel = 0 :: else fi;
    if :: owner == me || owner == NONE -> if :: Vset[1] && sublock -> dropnew(1) :: else fi :: else fi;
    if :: subtried -> dirty = 1 :: else fi;
    sublock = 0; subtried = 0; lvl = 0;
#ifndef KEEP_ITEM
    if :: ilevel == 1 -> iinc = 0; icnt = 0; ilevel = 0 :: else fi;
#else
    if :: ilevel == 1 -> ilevel = 0 :: else fi;
#endif
#ifdef SETTLE_CB
    minesub_gone = minesub; mine = mine - minesub; minesub = 0;
#endif
  }
#ifdef SETTLE_CB
  minesub_gone = 0;     /* they stand: mem keeps them */
#endif
}

inline undo_all() {     /* ROLLBACK, an error, a backend's death */
  atomic {
    if :: tried -> dirty = 1 :: else fi;
    if :: owner == me -> owner = NONE; olevel = 0; dropnew(0); dropnew(1) :: else fi;
    intx = 0; lvl = 0; sublock = 0; subtried = 0; tried = 0; iinc = 0; icnt = 0; ilevel = 0;
#ifdef SETTLE_CB
    mine = 0; minesub = 0;
#endif
  }
}

inline do_commit() {
  atomic {              /* ProcArrayEndTransaction: visible, and the row is free */
    if
    :: owner == me ->
       if :: Vset[1] -> copyrow(C, V[1]) :: !Vset[1] && Vset[0] -> copyrow(C, V[0]) :: else fi;
       dropnew(0); dropnew(1); owner = NONE; olevel = 0
    :: else
    fi;
    intx = 0; lvl = 0; sublock = 0; subtried = 0; tried = 0
  }
  /* here a backend may be held up: anything can happen before XACT_EVENT_COMMIT */
  atomic {
#ifdef SETTLE_CB
    mem = mem - mine; mine = 0; minesub = 0;
    if :: mem == 0 -> elock = 0; euntil = 0 :: else fi;
#else
    if :: iinc != 0 && einc == iinc && UNTOUCHED -> freeentry() :: else fi;
#endif
    iinc = 0; icnt = 0; ilevel = 0
  }
}
inline freeentry() { einc = 0; ecnt = 0; elock = 0; euntil = 0; elast = 0 }

/* I2: with commits only, nobody is told `locked` where the row alone, as its newest writer has it, would not say so. An
 * uncommitted reset of that writer does not free anybody else before it is committed. */
#define LOCKEDROW (dirty || C.until > now || (Vset[0] && (V[0].until > now || V[0].e > C.e)) \
         || (Vset[1] && (V[1].until > now || V[1].e > C.e)) || (PVset && (PV.until > now || PV.e > C.e)))
inline answer_locked() { assert(just || LOCKEDROW) }

inline count_ghost() {    /* a guess was evaluated and wrong, or charged and its fate unknown */
  E++;
  if
  :: (re0 >= gE && E - re0 >= MAXF) || (re0 < gE && E - gE >= MAXF) -> gE = E; gUntil = t0 + 1
  :: else
  fi
}
inline evaluate() {       /* I1: never while a lock is due */
#ifndef ONLY_I2
  assert(!(gUntil > now && gE > r.e));
#endif
  if :: wrong -> count_ghost() :: else fi
}

proctype Session(byte me) {
  byte ops; bool intx; byte lvl; bool wrong; byte F, A, U, u, m;
  bool sublock; bool tried; bool subtried;
  byte iinc, icnt, ilevel;      /* the note for the clean-up at commit */
  byte t0; bool locks; byte cinc, clock; bool just; byte re0;
#ifdef SETTLE_CB
  byte mine, minesub, minesub_gone;
#endif
  Row r;

  if :: me == N - 1 -> ops = OPS - LAST_OPS :: else fi;
  do
  :: ops < OPS ->
     intx = 1; wrong = 0;
     if
     :: goto attempt
     :: goto reset
     :: lvl == 0 -> lvl = 1; goto attempt      /* SAVEPOINT first */
     fi;

attempt:
     ops++;
     if :: wrong = 1 :: wrong = 0 fi;
#ifdef EVAL_FIRST
     atomic { t0 = now; readrow(); re0 = r.e; if :: r.until > now || (einc != 0 && euntil > now) -> answer_locked(); goto next :: else -> evaluate() fi };
#endif
     /* the plain reads: the memory, the row, and, where the memory says locked, the memory again */
     atomic { cinc = einc; clock = elock };
     atomic { readrow(); just = LOCKEDROW };
     atomic {
       effective(r);
#ifdef PLAIN_COUNT
       if :: U <= now && F > A && F - A >= MAXF -> U = now + 1 :: else fi;
#endif
       if
       :: U > now && (r.until > now || SAMEENTRY) -> answer_locked(); goto next
       :: else
       fi;
       just = 0
     };
     /* the row: waits */
     atomic {
       if
       :: owner == me
       :: owner == NONE -> owner = me; olevel = lvl; sublock = (lvl == 1)
       :: goto failed              /* lock_timeout, 40001, a cancel */
       fi;
       readrow();
       tried = 1; if :: lvl == 1 -> subtried = 1; sublock = 1 :: else fi
     };
     /* under the memory's lock: decide again, then charge */
     atomic {
       effective(r);
       assert(dirty || u == 0);         /* I2: nobody is locked earlier than by the row alone */
#if !defined(SETTLE_CB) && !defined(NO_DERIVED)
       if
       :: U <= now && u > 0 && F > A && F - A >= MAXF && elast + 1 > now ->
          elock = ecnt; euntil = elast + 1; U = euntil
       :: else
       fi;
#endif
       if :: U > now -> answer_locked(); goto next :: else fi;
       t0 = now; re0 = r.e;
#ifndef CHARGE_LATE
       CHARGE;
#endif
     };
     if
     :: skip
#ifndef SETTLE_CB
     :: atomic { count_ghost(); goto failed }      /* an error, or death, before the evaluation */
#endif
     fi;
#ifndef EVAL_FIRST
     atomic { evaluate() };
#endif
     if
     :: skip
     :: atomic { if :: !wrong -> count_ghost() :: else fi; goto failed }         /* an error, or death, after the evaluation */
     fi;
#ifdef CHARGE_LATE
     atomic { CHARGE };
#endif
     /* the row: one statement. It takes over what the memory knows; its mark is the count as it will be after the answer */
     atomic {
       if
       :: wrong ->
          locks = (F + 1 - A >= MAXF);
          if :: locks -> r.a = F + 1; r.until = t0 + 1 :: else -> r.a = A; r.until = U fi;
#ifdef SETTLE_CB
          r.f++          /* the row holds what commits; the rest stays in the memory */
#else
          r.f = F + 1; r.minc = einc; r.mcnt = ecnt
#endif
       :: else ->
          r.f = 0; r.a = 0; r.until = 0; r.e = E;
#ifndef SETTLE_CB
          r.minc = einc; r.mcnt = ecnt - 1
#endif
       fi;
       writerow();
#ifndef SETTLE_CB
       iinc = r.minc; icnt = r.mcnt; ilevel = lvl
#endif
     };
     if
     :: skip
     :: atomic { if :: !wrong -> count_ghost() :: else fi; goto failed }         /* an error, or death: event, NOTIFY, memory */
     fi;
     /* the memory once more, the last thing before the answer: a lock that was judged, or the charge of a right code back */
     atomic {
       if
       :: wrong && locks ->
#ifdef SETTLE_CB
          elock = 1; euntil = t0 + 1
#else
          elock = ecnt; euntil = t0 + 1
#endif
       :: wrong && !locks
       :: !wrong ->
#ifdef SETTLE_CB
          skip           /* an accepted code that is rolled back leaves one failure */
#else
          ecnt--; if :: ecnt == 0 -> freeentry() :: else fi
#endif
       fi
     };
     goto next;

reset:  /* generate, confirm, disable, unlock */
     ops++;
     atomic {
       if
       :: owner == me
       :: owner == NONE -> owner = me; olevel = lvl
       :: goto failed
       fi;
       if :: lvl == 1 -> sublock = 1 :: else fi;
       readrow()
     };
     atomic {
       r.f = 0; r.a = 0; r.until = 0; r.e = E;
#ifdef RESET_NOW
       freeentry();
#endif
#if !defined(RESET_NOMARK) && !defined(SETTLE_CB)
       r.minc = einc; r.mcnt = ecnt;
       if :: einc != 0 -> iinc = einc; icnt = ecnt; ilevel = lvl :: else fi;
#endif
       writerow()
     };
     goto next;

failed: /* an error: to the savepoint, or the whole transaction */
     if
     :: lvl == 1 -> undo_sub()
     :: true -> undo_all()
     fi;
     goto next;

next:
     if
     :: skip                                   /* go on in this transaction */
     :: lvl == 1 -> undo_sub()                 /* ROLLBACK TO */
     :: atomic { lvl == 1 ->                   /* RELEASE */
          if :: owner == me && Vset[1] -> copyrow(V[0], V[1]); Vset[0] = 1; dropnew(1) :: else fi;
          if :: owner == me -> olevel = 0 :: else fi;
          if :: ilevel == 1 -> ilevel = 0 :: else fi;
#ifdef SETTLE_CB
          minesub = 0;
#endif
          sublock = 0; subtried = 0; lvl = 0 }
     :: intx -> do_commit()
     :: intx -> undo_all()                     /* ROLLBACK, a disconnect, FATAL */
#ifndef NO_PREPARE
     :: atomic { intx && prepared == 0 && owner == me ->         /* PREPARE TRANSACTION */
          owner = PREP; prepared = 1;
          if :: Vset[1] -> copyrow(PV, V[1]); PVset = 1 :: !Vset[1] && Vset[0] -> copyrow(PV, V[0]); PVset = 1 :: else fi;
          dropnew(0); dropnew(1);
          intx = 0; lvl = 0; sublock = 0; subtried = 0; olevel = 0; iinc = 0; icnt = 0; ilevel = 0;
#ifdef SETTLE_CB
          mine = 0; minesub = 0;
#endif
          if :: tried -> prepared = 2 :: else fi; tried = 0 }
#endif
     fi
  :: ops >= OPS -> break
  od;
  if :: !intx :: intx -> do_commit() :: intx -> undo_all() fi;
  atomic { done++ }
}

proctype Environment() {
  byte ticks;
  do
  :: atomic { ticks < TICKS -> now++; ticks++ }
  :: atomic { prepared != 0 && owner == PREP ->
       if
       :: true -> if :: PVset -> copyrow(C, PV) :: else fi
       :: true -> if :: prepared == 2 -> dirty = 1 :: else fi
       fi;
       PVset = 0; clearrow(PV); owner = NONE; prepared = 0 }
#ifdef EVICT
  :: atomic { einc != 0 -> einc = 0; ecnt = 0; elock = 0; euntil = 0; elast = 0 }
#endif
  :: atomic { done == N && prepared == 0 -> break }
  od;
  /* I3: what the memory adds to the row is what was evaluated, or charged, and not committed */
  byte F, A, U, u, m; Row r;
  d_step { copyrow(r, C) };
  atomic {
#ifndef SETTLE_CB
    effective(r);
    assert(F == E - r.e);
    assert(dirty || u == 0)
#else
    assert(mem + C.f >= E - C.e);       /* at least */
    assert(dirty || mem == 0)
#endif
  }
}

init {
  atomic {
    byte i;
    for (i : 0 .. N - 1) { run Session(i) }
    run Environment()
  }
}
