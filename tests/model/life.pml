/* SPDX-License-Identifier: Apache-2.0 */
/*
 * life.pml - the end of an engine: close, fork, and how long its descriptors live.
 *
 * It models engine/api/close.c (Closer), enter() and the waiting for room of engine/api/slow.c and
 * begin_call() of engine/flush/wake.c (Producer), the wiped page of engine/ring/rings.c (Child), and
 * as much of a flusher as it takes to drain rings. Pushes are those of an rseq ring: a store buffer
 * for the head, sections that a membarrier starts again. When a record must be covered by a timer is
 * the matter of wake.pml; here every push of a ring whose alarm is low sets one.
 *
 * A process may stop for ever at any step: every state in which the others have gone on is searched,
 * and each wait of close that is bounded by time may end at any time.
 *
 * Two descriptors: TIMER, which slow paths set, and EVENT, which is written after a commit as well.
 * kernel[] says whose file has the number: one that was closed is a stranger's at once. Child is a
 * process made by fork at any moment. It makes new calls and closes the engine, in one step: what it
 * does depends on nothing that happens in its parent later.
 *
 * Promised: nobody ever uses a number that is a stranger's, in the parent or in the child; a child
 * touches nothing of its parent's. No record is accepted once the flusher has ended, none that was
 * accepted is left in a ring, unless the deadline passed. Who waits for room is woken by room or by
 * close. Descriptors are kept, not closed, when a thread may still use them, and closed otherwise.
 *
 *     run slice -DTHREADS=1 -DNPUSH=4
 *     live slice -DTHREADS=1 -DNPUSH=2
 *     run full -DTHREADS=2 -DNPUSH=1
 *     mutant slice M_COUNT_LATE -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_NUMBER_KEPT -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_NO_LOOK_AT_CLOSING -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_PLAIN_MEMBARRIER -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_NO_MEMBARRIER -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_DEAL_REOPENS -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_WAITERS_FORGOTTEN -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_CLOSE_FIRST -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_NUMBER_STAYS -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_NO_WAIT_FOR_WRITERS -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_CLOSE_THEN_FORGET -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_PAGE_NOT_WIPED -DTHREADS=1 -DNPUSH=2
 *     mutant slice M_CHILD_WAITS -DTHREADS=1 -DNPUSH=2
 */
#ifndef THREADS
#define THREADS 3
#endif
#ifndef NPUSH
#define NPUSH 1
#endif
#ifndef ROOM
#define ROOM 1
#endif
#define RINGS THREADS /* one thread on each CPU: what two on one CPU do is in wake.pml */

#define TIMER 0
#define EVENT 1
#define EVENT_BIT 2
#define OURS 0
#define STRANGERS 1

/* weir_page: wiped in a child */
bool page_ours = 1, page_fd[2] = 1, table[RINGS];
/* the engine */
bool closing, shutdown, ended, late, is_closed;
byte inside, ring_inside[RINGS], writing;
bool number[2] = 1;       /* the flusher's own copy: -1 is 0 */
bool kernel[2] = OURS;    /* whose file has the number */
byte woken;               /* bit 0: the timer is set, bit 1: the event was written */
/* rings, by id */
bool by_id[RINGS];
byte head[RINGS], seen[RINGS], taken[RINGS];
bool low[RINGS] = 1;      /* the alarm: the next push takes the slow path */
bool first[RINGS] = 1;    /* the limit of a ring that was just made: so does the first push */
bool lim_closed[RINGS];
byte release_seq, waiters;
bool sleeping[THREADS], in_section[THREADS], aborted[THREADS];
byte through, accepted, delivered, left;
bool stuck;

#define DRAIN(r) seen[r] = head[r]

#ifdef M_COUNT_LATE
#define COUNT_IN skip
#define COUNT_OUT skip
#else
#define COUNT_IN atomic { DRAIN(r); writing++ }
#define COUNT_OUT writing--
#endif
#ifdef M_NUMBER_KEPT
#define FETCH(which) 1 /* as the engine knew it when the push began */
#else
#define FETCH(which) page_fd[which]
#endif
#ifdef M_NO_LOOK_AT_CLOSING
#define CLOSING false
#else
#define CLOSING closing
#endif

/* begin_call(), the call, end_call() */
#define CALL(which) \
	COUNT_IN; \
	fd = FETCH(which); \
	if \
	:: fd -> atomic { DRAIN(r); assert(kernel[which] == OURS); woken = woken | (1 + which); fd = 0 } \
	:: else \
	fi; \
	atomic { DRAIN(r); COUNT_OUT }

proctype Producer(byte me)
{
	byte r = me, pushed, seq;
	bool fd, crossed;

	do
	:: pushed == NPUSH -> break
	:: else ->
section:
		atomic { aborted[me] = 0; in_section[me] = 1;
			if
			:: !table[r] -> in_section[me] = 0; goto make
			:: table[r] && (lim_closed[r] || first[r] || head[r] - taken[r] >= ROOM) ->
				in_section[me] = 0; goto limit
			:: table[r] && low[r] -> in_section[me] = 0; goto alarm
			:: else
			fi };
		atomic {
			if
			:: aborted[me] -> in_section[me] = 0; goto section
			:: else
			fi;
			in_section[me] = 0; head[r]++; accepted++; pushed++; crossed = 1;
			assert(!ended) };
after:
		if
		:: crossed -> CALL(EVENT); crossed = 0
		:: else
		fi
	od;
	goto end;

make: /* wr_push_make_ring() */
	atomic { DRAIN(r); inside++ };
	if
	:: atomic { CLOSING -> DRAIN(r); inside--; goto refused }
	:: !CLOSING
	fi;
	atomic { by_id[r] = 1 };
	atomic { DRAIN(r); table[r] = 1 };
	atomic { inside--; goto section };

alarm: /* wr_push_met_alarm() */
	atomic { DRAIN(r); ring_inside[r]++ };
	if
	:: atomic { CLOSING -> DRAIN(r); ring_inside[r]--; goto refused }
	:: !CLOSING
	fi;
	CALL(TIMER);
	atomic { DRAIN(r); low[r] = 0 };
	atomic { ring_inside[r]--; goto section };

limit: /* wr_push_met_limit() */
	atomic { DRAIN(r); ring_inside[r]++ };
	if
	:: atomic { CLOSING -> DRAIN(r); ring_inside[r]--; goto refused }
	:: !CLOSING
	fi;
	if
	:: atomic { lim_closed[r] -> ring_inside[r]--; goto refused }
	:: !lim_closed[r] && head[r] - taken[r] < ROOM;
		atomic { DRAIN(r);
			if
			:: !lim_closed[r] -> first[r] = 0
			:: else
			fi };
		atomic { ring_inside[r]--; goto section }
	:: !lim_closed[r] && head[r] - taken[r] >= ROOM
	fi;
	CALL(EVENT); /* unreached NPUSH=1: never full */
	atomic { ring_inside[r]-- }; /* unreached NPUSH=1: never full */
	/* wait_for_room() */
	atomic { DRAIN(r); waiters++ }; /* unreached NPUSH=1: never full */
	atomic { seq = release_seq }; /* unreached NPUSH=1: never full */
	if
	:: closing /* unreached NPUSH=1: never full */
	:: !closing;
		if
		:: head[r] - taken[r] < ROOM /* unreached NPUSH=1: never full */
		:: head[r] - taken[r] >= ROOM;
			atomic {
				if
				:: release_seq == seq -> sleeping[me] = 1
				:: else
				fi };
			!sleeping[me] /* unreached NPUSH=1: never full */
		fi
	fi;
	atomic { DRAIN(r); waiters--; seq = 0; goto section }; /* unreached NPUSH=1: never full */

refused:
	atomic { pushed = NPUSH; goto after };
end:
	atomic { through++ }
}

proctype StoreBuffer(byte r)
{
end_buffer:
	do
	:: atomic { seen[r] < head[r] -> seen[r]++ }
	od
} /* unreached: it has no end */

#ifdef M_PLAIN_MEMBARRIER
#define ABORT(t) skip
#else
#define ABORT(t) if :: in_section[t] -> aborted[t] = 1 :: else fi
#endif
#ifdef M_NO_MEMBARRIER
#define MEMBARRIER skip
#else
#define MEMBARRIER atomic { MEMBARRIER_NOW }
#endif
#if THREADS == 1
#define MEMBARRIER_NOW DRAIN(0); ABORT(0)
#define DRAINED (seen[0] == taken[0])
#define WAKE_ALL sleeping[0] = 0
#elif THREADS == 2
#define MEMBARRIER_NOW DRAIN(0); ABORT(0); DRAIN(1); ABORT(1)
#define DRAINED (seen[0] == taken[0] && seen[1] == taken[1])
#define WAKE_ALL sleeping[0] = 0; sleeping[1] = 0
#else
#define MEMBARRIER_NOW DRAIN(0); ABORT(0); DRAIN(1); ABORT(1); DRAIN(2); ABORT(2)
#define DRAINED (seen[0] == taken[0] && seen[1] == taken[1] && seen[2] == taken[2])
#define WAKE_ALL sleeping[0] = 0; sleeping[1] = 0; sleeping[2] = 0
#endif
#ifdef M_DEAL_REOPENS
#define MAY_DEAL_LIMIT true
#else
#define MAY_DEAL_LIMIT !lim_closed[i]
#endif

/* Coarse: its cut and the sleep behind it, with its own membarrier, are one step. */
proctype Flusher()
{
	byte i;
	bool again;

sleep:
	if /* is_over() */
	:: shutdown && (DRAINED || late) -> goto over
	:: else
	fi;
end_wait:
	if
	:: woken & EVENT_BIT
	:: woken == 1 ->
progress_deadline: /* a whole deadline between arm and commit: the timer finds nothing */
		skip
	fi;
	atomic { woken = 0; i = 0 };
cut:
	atomic {
		do
		:: i == RINGS -> break
		:: else ->
			if
			:: by_id[i] && seen[i] != taken[i] ->
				delivered = delivered + seen[i] - taken[i]; taken[i] = seen[i]; again = 1
			:: else
			fi;
			i++
		od;
		i = 0
	};
	if
	:: again -> atomic { release_seq++; again = 0 };
		if
		:: waiters -> atomic { WAKE_ALL }
		:: else
		fi;
		goto cut
	:: else
	fi;
	do
	:: i == RINGS -> break
	:: else -> atomic {
		if
		:: by_id[i] && !first[i] -> low[i] = 1;
			if
			:: MAY_DEAL_LIMIT -> lim_closed[i] = 0
			:: else
			fi
		:: else
		fi;
		i++ }
	od;
	atomic { MEMBARRIER_NOW; i = 0;
		if
		:: !DRAINED -> goto cut
		:: else -> goto sleep
		fi };
over:
	atomic { i = 0;
		do
		:: i == RINGS -> break
		:: else -> left = left + head[i] - taken[i]; taken[i] = head[i]; i++
		od;
		ended = 1 }
}

proctype Closer()
{
	byte i;

	closing = 1;
	if
	:: inside == 0
	:: late = 1 /* a thread that stopped there must not take all the time */
	fi;
	do
	:: i == RINGS -> break
	:: else -> atomic {
		if
		:: by_id[i] -> lim_closed[i] = 1
		:: else
		fi;
		i++ }
	od;
	MEMBARRIER;
#ifndef M_WAITERS_FORGOTTEN
	release_seq++;
	atomic { WAKE_ALL };
#endif
	shutdown = 1;
	atomic { woken = woken | EVENT_BIT };
	if
	:: ended
	:: atomic { late = 1; woken = woken | EVENT_BIT }; ended
	fi;
	/* count_stuck() */
	if
	:: inside == 0
	:: stuck = 1
	fi;
#ifdef M_CLOSE_FIRST
	kernel[TIMER] = STRANGERS;
	kernel[EVENT] = STRANGERS;
#endif
#ifndef M_NUMBER_STAYS
	page_fd[TIMER] = 0;
	page_fd[EVENT] = 0;
#endif
	if
#ifdef M_NO_WAIT_FOR_WRITERS
	:: true
#else
	:: writing == 0
	:: stuck = 1
#endif
	fi;
	atomic { i = 0 };
	do
	:: i == RINGS -> break
	:: else ->
		if
		:: atomic { ring_inside[i] == 0 -> i++ }
		:: atomic { stuck = 1; i++ }
		fi
	od;
	if
	:: stuck -> goto end
	:: else
	fi;
#ifdef M_CLOSE_THEN_FORGET
	kernel[TIMER] = STRANGERS; number[TIMER] = 0;
	kernel[EVENT] = STRANGERS; number[EVENT] = 0;
#else
	number[TIMER] = 0; kernel[TIMER] = STRANGERS;
	number[EVENT] = 0; kernel[EVENT] = STRANGERS;
#endif
end:
	is_closed = 1
}

/* A process made by fork at any moment. It has the memory and the descriptors of that moment. */
proctype Child()
{
	atomic {
#ifdef M_PAGE_NOT_WIPED
		assert(!table[0] && !page_ours && !page_fd[TIMER] && !page_fd[EVENT]);
#endif
#ifdef M_CHILD_WAITS
		/* The counters were copied, the threads that would count themselves out were not. */
		assert(inside == 0 && writing == 0);
#endif
		/* disown() closes what the engine's memory says is its own */
		assert(!number[TIMER] || kernel[TIMER] == OURS);
		assert(!number[EVENT] || kernel[EVENT] == OURS)
	}
}

/* Nobody can go on any more. */
proctype Judge()
{
end_judge:
	timeout -> assert(through == THREADS && ended && is_closed);
	assert(accepted == delivered + left && (left == 0 || late));
	assert(waiters == 0 && inside == 0 && writing == 0);
	assert(stuck || (kernel[TIMER] != OURS && kernel[EVENT] != OURS))
}

init {
	atomic {
		run Producer(0);
		run StoreBuffer(0);
#if THREADS > 1
		run Producer(1);
		run StoreBuffer(1);
#endif
#if THREADS > 2
		run Producer(2);
		run StoreBuffer(2);
#endif
		run Closer();
		run Child();
		run Judge();
		run Flusher()
	}
}
