"""Everyday words, which name no record in particular."""

from blastwall.provenance.english import nouns, verbs

_OTHERS = """
    able about above account accounts across active actual additional address addresses admin after
    afternoon again against age agent ago agree all almost alone along already also although always am
    among amount an and another answer any anyone anything anywhere api app apps apr april archive
    archived are area around as ask asked at attached attachment attachments attendees aug august author
    available away back balance bank base basic bcc be because been before behind being below best better
    between big bill bills birthday body book both bottom branch branches bug building business but by
    calendar can cannot card case category cc center central change channel channels chat check city class
    clear click client clients close closed code color colour comment comments commit commits common
    company complete completed condition config contact contacts content contents copy cost could country
    course create created credit currency current customer customers daily data database date dates day
    days dear debit dec december default delete deleted department description desktop detail details did
    different direct directory do document documents does done down draft drafts due during each early
    easy edit email emails empty end english enough entry error etc euro euros even evening event events
    ever every everyone everything exact example expense external false family far favorite feb february
    few field file files final finally find first flight flights folder folders following food for form
    format free fri friday friend friends from front full further game general get give given go going
    good got great group groups had half hand hard has have having he hello help her here hers hey hi high
    him his history home hotel hotels hour hours house how however html http https idea identifier if
    image images important in inbox include including info information input instead internal
    international into invoice invoices is issue issues it item items its itself jan january job json jul
    july jun june junk just keep key keys kind know known label labels large largest last late later
    latest least left less let letter level like line link links list lists little local location log
    login logs long look lot low lunch made mail mailbox mails main make manager many map mar march mark
    marketing master may maybe me meet meeting meetings member members memo menu message messages mid
    middle might mine minute minutes missing mobile mode mon monday money month monthly months more
    morning most move much music must my name named names near need needs net never new news next nice
    night no nobody none nor normal not note notes nothing notice notification notifications nov november
    now null number numbers oct october of off office ok okay old on once one only open opened options or
    order orders org other others our ours out outbox over overview own owner page pages paid part
    participants party password past path pay payment payments pdf pending people per perfect person
    personal phone photo photos picture pictures place plan plans please point popular position possible
    post posts present price prices primary private prod product products profile project projects public
    pull purchase question questions quick random rate rather ratings read ready real really reason
    received recent recently recipient recipients record records regards release remove rent reply repo
    report reports repository request requests response restaurant restaurants result results review
    reviews right role room root run safe said sales same sat saturday save saved say school score search
    second secret section security see select self send sender sent sep sept september server service
    services set settings several shall share shared she should show sign simple since single site size
    small smallest so social software some someone something soon sorry source spam special staff staging
    standard star starred start state status still stop store street student subject such summary sun
    sunday support sure system table tag tags take task tasks team teams test tests text than thank thanks
    that the their them then there these they thing things this those three through thu thursday time
    times title to today todo together tomorrow tonight too top topic total town track training
    transaction transactions trash travel trip true try tue tuesday two txt type under unit unread until
    up update updated updates upon url us use used user username users using usual value various version
    very via video view visit wait want was way we web website wed wednesday week weekend weekly weeks
    welcome well went were what when where which while white who whole whom whose why will with within
    without word work workspace world would write wrong www year years yes yesterday yet you your yours
    zip
"""

COMMON = (
    frozenset(_OTHERS.split())
    | verbs.KNOWN
    | frozenset(word for row in nouns.CLASSES for noun in row.nouns for word in noun.split())
)
"""Words that the user says without meaning one thing by name."""
