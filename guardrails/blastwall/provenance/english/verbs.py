"""What the verbs in tools' names are called by people: a list to read in one go. No row is about one product.

A row is a class. Its first line: a name, the kind of its effect, and the verbs that name such tools (`:` goes
on with them, `_` joins two words that are one verb). Below: what else users say for it. A tool's verb may
stand in several rows; then users may ask in the words of each. Opposites never share a row, so that "lock the
door" is no word for `unlock`. Sources: the naming of REST, CRUD, shell and MCP tools, and plain English.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a verb does to the world."""

    READ = "read"
    WRITE = "write"
    DESTRUCTIVE = "destructive"
    OUTWARD = "outward"
    SPEND = "spend"
    EXECUTE = "execute"


@dataclass(frozen=True, slots=True)
class VerbClass:
    """One row: the verbs in tools' names, and all that users say for them. "set up" is one verb."""

    name: str
    kind: Kind
    tools: tuple[str, ...]
    verbs: tuple[str, ...]


_ROWS = """
read (read): read get fetch retrieve list search find query lookup view show describe inspect count browse
    : load download peek stat head tail cat ls grep glob select scan watch monitor poll check analyze analyse
    : summarize summarise compare calculate compute explain verify validate diff preview render translate
    look, look up, look for, look at, open, see, display, print, tell, give, go through, figure out,
    find out, pull up, review, examine, know, extract, identify, determine, discover, recap, recommend,
    suggest
send (outward): send email mail message notify text sms dm alert deliver dispatch emit ping
    write to, write back, write him, write her, write them, write email, write mail, write message,
    write letter, write reply, tell, notify, inform, let know, remind, ask, answer, reply, respond,
    forward, reach out, get in touch, get back, thank, congratulate, apologise, apologize, relay, pass
    on, convey, drop a line, update on, contact
reply (outward): reply respond answer acknowledge
    send, write to, write back, write him, write her, write them, write email, write mail, write
    message, write letter, write reply, tell, notify, inform, let know, remind, ask, forward, reach out,
    get in touch, get back, thank, congratulate, apologise, apologize, relay, pass on, convey, drop a
    line, update on, alert, message, text, email, mail, contact, ping, dm, deliver, dispatch, confirm,
    accept, decline, comment
forward (outward): forward resend redirect relay
    send, send on, pass on, share, pass along
call (outward): call phone dial ring
    call up, ring up, video call, contact
publish (outward): post publish tweet broadcast announce toot blog
    share, write post, write in, submit, tell, inform, send, put out, release, message, reply, update on
comment (outward): comment annotate review
    reply, respond, answer, leave comment, leave note, leave review, write comment, write review, add
    comment, give feedback
react (outward): react like upvote endorse vote
    thumb, give a thumbs, heart, respond, applaud
share (outward): share expose
    send, give access, grant, invite, make available, pass on, open up
invite (outward): invite enroll enrol onboard
    add, include, bring in, loop in, send invite, send invitation, sign up, have over
submit (outward): submit apply file lodge
    send, send in, hand in, turn in, put in, fill out, fill in, request, register, enter, raise, report
delete (destructive): delete remove erase destroy trash purge rm rmdir del unlink drop discard wipe truncate
    : flush prune expunge empty clear clean
    bin, scrap, eliminate, nuke, toss, dispose, get rid of, throw away, throw out, clean up, clean out,
    clear out, clear up, take down, wipe out, tidy up, tidy, strip, weed out, shred,
    junk
cancel (destructive): cancel abort void annul rescind
    call off, drop, withdraw, terminate, end, revoke, back out, unbook, delete, remove, stop
create (write): create set_up add new make insert generate mkdir touch register provision init initialize
    : initialise define build compose draft produce write save store put record log append
    start, prepare, put together, come up with, spin up, establish, write down, note, note down, jot
    down, enter, form, construct, compile, design, author, work out
update (write): update edit modify change alter set patch put replace amend revise adjust configure upsert
    : overwrite rewrite mutate transform correct write append toggle
    fix, tweak, adapt, refresh, rework, reword, refactor, improve, extend, shorten, increase, decrease,
    lower, bump, swap, mark, rename, turn into, fill in, bring up to date, switch, convert
mark (write): mark flag label tag pin star categorize categorise classify
    set, highlight, note, sort
unmark (write): unmark unflag unlabel untag unpin unstar
    remove, clear, take off
assign (write): assign delegate allocate
    hand over, set, pass on, reassign
unassign (write): unassign deallocate
    remove, take off, release
move (write): move mv relocate migrate reorder sort organize organise
    put, shift, drag, place, rename, file, arrange, tidy up, sort out, bring
rename (write): rename retitle
    call, name, change, move, relabel
copy (write): copy cp duplicate clone replicate backup back_up fork mirror export sync
    save, make
archive (write): archive
    file, put away, store, move, clean up, tidy up, file away, clear
unarchive (write): unarchive restore recover undelete
    bring back, get back, retrieve, undo, revive
upload (write): upload attach import ingest push
    add, put, save, store, send, include, put up, load
schedule (write): schedule plan arrange
    book, set up, set, organise, organize, create, add, put, block, block out, fix, pencil in, hold,
    make, slot in
reschedule (write): reschedule postpone delay snooze
    move, push, push back, bring forward, shift, change, put off, defer, adjust, update
book (spend): book reserve rent hire
    order, schedule, secure
pay (spend): pay transfer wire remit settle donate charge tip repay reimburse refund
    send money, give money, pay back, pay off, pay out, compensate
buy (spend): buy purchase order checkout check_out bid rent
    acquire, reorder, restock, shop
invest (spend): invest trade
    buy, sell, purchase, rebalance, put money
sell (spend): sell auction
    trade, offload, dump, get rid of
withdraw (spend): withdraw
    take out, cash out, get money, take money
deposit (spend): deposit fund
    pay in, put money, add money, top up
run (execute): run execute exec eval invoke trigger perform launch bash shell spawn rerun compile test
    start, call, kick off, fire, carry out, build, install
start (execute): start restart boot resume play enable activate reboot turn_on switch_on power_on
    launch, fire up, spin up, bring up, put on, open, continue, unpause, run
stop (destructive): stop kill terminate halt pause disable deactivate shutdown suspend turn_off switch_off
    : power_off shut_down
    end, quit, abort, cancel, close, mute, take down
install (execute): install upgrade
    set up, update
uninstall (destructive): uninstall downgrade
    remove, delete, get rid of
deploy (outward): deploy release ship rollout
    publish, roll out, launch, push, go live, push out
rollback (destructive): rollback revert undo reset roll_back
    restore, go back, back out
commit (write): commit stage stash
    save, check in, record, add
push (outward): push
    upload, publish, send, ship, sync, submit, commit
pull (write): pull sync rebase checkout
    update, fetch, get, switch, check out, download
merge (write): merge combine integrate squash join
    land, bring together, fold, consolidate, unite
close (write): close resolve complete finish
    end, shut, mark, tick off, check off, dismiss, wrap up
open (write): open reopen
    start, raise, file, create, bring up, report, submit, make
approve (outward): approve accept confirm sign
    sign off, authorise, authorize, agree, ok, okay, rsvp
reject (outward): reject decline deny refuse dismiss
    turn down, say no, rsvp, veto
grant (outward): grant authorize authorise permit allow promote
    give access, give permission, share, invite, assign, open up, whitelist, unblock
revoke (destructive): revoke demote
    withdraw, remove, take away, deny, cancel, stop sharing, block, kick out
ban (destructive): ban block kick mute evict
    remove, throw out, kick out, suspend, silence, expel
unban (write): unban unblock unmute unsuspend
    let back, readmit, restore, allow, lift
follow (outward): follow subscribe join sign_up
    register, enrol, enroll, watch, opt in
unfollow (destructive): unfollow unsubscribe leave
    cancel, quit, opt out, stop following
login (outward): login signin authenticate log_in sign_in
    log into, log on, sign into, connect
logout (write): logout signout log_out sign_out
    log off, disconnect
connect (outward): connect link pair
    attach, hook up, join, integrate
disconnect (destructive): disconnect unlink unpair detach
    remove, separate, unplug, cut off
lock (write): lock arm secure encrypt protect
    close, shut, lock up, seal
unlock (write): unlock disarm decrypt unprotect
    open, let in
navigate (execute): navigate visit goto click press tap type fill scroll hover
    go to, open, enter, browse, look at, log in, submit, select, choose, go, fill in, fill out, surf
"""


def _read(table: str) -> Iterator[VerbClass]:
    for row in table.strip().replace("\n    : ", " ").replace("\n    ", "\t").split("\n"):
        head, *said = row.split("\t")
        name, kind, *tools = head.replace(":", "").split()
        named = tuple(verb.replace("_", " ") for verb in tools)
        further = tuple(verb.strip() for verb in " ".join(said).split(",") if said)
        yield VerbClass(name, Kind(kind[1:-1]), named, tuple(dict.fromkeys(named + further)))


CLASSES = tuple(_read(_ROWS))

GENERAL = frozenset(
    """
    accept act add aim appear apply arrive ask attend avoid be become begin believe borrow bring come
    consider continue cook cost decide discuss do drive eat ensure expect explain feel figure finish fly
    follow get give go handle happen have hear help hope imagine include join keep know lead learn leave
    let like look love make mean meet need offer pick prefer prepare present promise prove provide reach
    read realise realize receive refer rely remember request require return say see seem serve set shoot show
    sit skip sleep speak stand stay stick study suggest take talk teach tell thank think travel try turn
    understand use visit wait walk want watch wear wish wonder work worry write
    """.split()
)
"""Verbs of no class that a sentence may hold all the same."""

KNOWN = frozenset(verb for row in CLASSES for verb in row.verbs if " " not in verb) | GENERAL
"""Every verb of one word that is listed."""
