"""Places the pretend numbers come from: real area codes of the US and Canada, a few ranges of other countries.

Which papers a country asks for follows Twilio's published rules where they are simple enough to pretend
(error dictionary 21631 and 21649, number guidelines, 2026-04); it is made for trying things out, not advice.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where a range of numbers belongs, as the search answer tells it."""

    region: str | None
    locality: str | None
    postal_code: str | None
    latitude: float | None
    longitude: float | None
    lata: str | None


@dataclass(frozen=True, slots=True)
class Papers:
    """What Twilio wants before it sells a number: an address (`none`, `any`, `local`, `foreign`), a bundle."""

    address: str
    bundle: bool


COUNTRIES = {
    "AT": "Austria",
    "AU": "Australia",
    "BR": "Brazil",
    "CA": "Canada",
    "DE": "Germany",
    "ES": "Spain",
    "FR": "France",
    "GB": "United Kingdom",
    "IE": "Ireland",
    "IL": "Israel",
    "IT": "Italy",
    "LU": "Luxembourg",
    "MX": "Mexico",
    "NL": "Netherlands",
    "PL": "Poland",
    "SE": "Sweden",
    "US": "United States",
    "ZA": "South Africa",
}

# Monthly price by country and number type, as Twilio's pricing answer writes it (text, type names with spaces).
PRICES: dict[str, tuple[str, dict[str, str]]] = {
    "AT": ("USD", {"local": "1.15", "mobile": "6.00"}),
    "AU": ("USD", {"local": "3.00", "mobile": "6.50"}),
    "BR": ("USD", {"local": "4.25"}),
    "CA": ("USD", {"local": "1.15", "toll free": "2.15"}),
    "DE": ("USD", {"local": "1.15", "mobile": "15.00"}),
    "ES": ("USD", {"local": "1.15"}),
    "FR": ("USD", {"local": "1.15"}),
    "GB": ("USD", {"local": "1.15", "mobile": "1.15", "toll free": "2.15"}),
    "IE": ("USD", {"local": "1.15"}),
    "IL": ("USD", {"local": "4.25"}),
    "IT": ("USD", {"local": "1.15", "mobile": "28.00"}),
    "LU": ("USD", {"local": "1.15"}),
    "MX": ("USD", {"local": "6.25"}),
    "NL": ("USD", {"local": "1.15", "mobile": "6.00"}),
    "PL": ("USD", {"local": "1.15"}),
    "SE": ("USD", {"local": "1.15", "mobile": "3.00"}),
    "US": ("USD", {"local": "1.15", "toll free": "2.15"}),
    "ZA": ("USD", {"local": "1.50", "mobile": "15.00", "national": "1.50"}),
}

# By country; a kind that asks for something else has an entry of its own.
PAPERS: dict[str, Papers] = {
    "AT": Papers("local", bundle=True),
    "AU": Papers("local", bundle=True),
    "BR": Papers("local", bundle=True),
    "CA": Papers("none", bundle=False),
    "DE": Papers("local", bundle=True),
    "ES": Papers("local", bundle=True),
    "FR": Papers("local", bundle=True),
    "GB": Papers("any", bundle=True),
    "IE": Papers("local", bundle=True),
    # Nobody is known to ask for an address abroad; without one country that does it could not be tried.
    "IL": Papers("foreign", bundle=False),
    "IT": Papers("local", bundle=True),
    "LU": Papers("local", bundle=False),
    "MX": Papers("any", bundle=False),
    "NL": Papers("local", bundle=True),
    "PL": Papers("local", bundle=True),
    "SE": Papers("none", bundle=False),
    "US": Papers("none", bundle=False),
    "ZA": Papers("any", bundle=False),
}
PAPERS_OF_KIND: dict[tuple[str, str], Papers] = {
    ("GB", "tollfree"): Papers("none", bundle=True),
    ("NL", "mobile"): Papers("local", bundle=False),
    ("SE", "mobile"): Papers("none", bundle=True),
    ("ZA", "mobile"): Papers("local", bundle=True),
    ("ZA", "national"): Papers("any", bundle=True),
}

TOLL_FREE_CODES = ("800", "833", "844", "855", "866", "877", "888")

# One line a region: its main city, postal code, latitude, longitude, LATA and area codes.
_US = """
AL|Birmingham|35203|33.52|-86.81|476|205 251 256 334 659 938
AK|Anchorage|99501|61.22|-149.89|832|907
AZ|Phoenix|85004|33.45|-112.07|666|480 520 602 623 928
AR|Little Rock|72201|34.75|-92.28|528|479 501 870
CA|Los Angeles|90012|34.05|-118.24|730|209 213 279 310 323 341 350 408 424 442 510 530 559 562 619 626 628 650 657 \
661 669 707 714 747 760 805 818 820 831 840 858 909 916 925 949 951
CA|San Francisco|94103|37.775|-122.418|722|415
CO|Denver|80202|39.75|-104.99|656|303 719 720 970 983
CT|Hartford|06103|41.77|-72.67|920|203 475 860 959
DE|Wilmington|19801|39.74|-75.55|228|302
DC|Washington|20001|38.91|-77.02|236|202 771
FL|Orlando|32801|28.54|-81.37|458|239 321 352 386 407 448 561 645 656 689 727 728 754 772 813 850 863 904 941 954
FL|Miami|33130|25.77|-80.2|460|305 786
GA|Atlanta|30303|33.75|-84.39|438|229 404 470 478 678 706 762 770 912 943
HI|Honolulu|96813|21.31|-157.86|834|808
ID|Boise|83702|43.63|-116.2|652|208 986
IL|Chicago|60602|41.88|-87.63|358|217 224 309 312 331 447 464 618 630 708 730 773 779 815 847 861 872
IN|Indianapolis|46204|39.77|-86.16|336|219 260 317 463 574 765 812 930
IA|Des Moines|50309|41.59|-93.62|632|319 515 563 641 712
KS|Wichita|67202|37.69|-97.34|532|316 620 785 913
KY|Louisville|40202|38.25|-85.75|462|270 364 502 606 859
LA|New Orleans|70112|29.95|-90.08|490|225 318 337 504 985
ME|Portland|04101|43.66|-70.26|120|207
MD|Baltimore|21202|39.3|-76.61|238|227 240 301 410 443 667
MA|Boston|02108|42.36|-71.06|128|339 351 413 508 617 774 781 857 978
MI|Detroit|48226|42.33|-83.05|340|231 248 269 313 517 586 616 734 810 906 947 989
MN|Minneapolis|55401|44.98|-93.27|628|218 320 507 612 651 763 952
MS|Jackson|39201|32.3|-90.18|482|228 601 662 769
MO|St Louis|63101|38.63|-90.19|520|235 314 417 557 573 636 660 816 975
MT|Billings|59101|45.78|-108.51|648|406
NE|Omaha|68102|41.26|-95.93|644|308 402 531
NV|Las Vegas|89101|36.17|-115.14|721|702 725 775
NH|Manchester|03101|42.99|-71.46|122|603
NJ|Newark|07102|40.74|-74.17|224|201 551 609 640 732 848 856 862 908 973
NM|Albuquerque|87102|35.08|-106.65|664|505 575
NY|New York|10001|40.75|-73.99|132|212 332 347 646 718 917 929
NY|Buffalo|14202|42.89|-78.88|140|315 329 363 516 518 585 607 624 631 680 716 838 845 914 934
NC|Charlotte|28202|35.23|-80.84|422|252 336 472 704 743 828 910 919 980 984
ND|Fargo|58102|46.88|-96.79|636|701
OH|Columbus|43215|39.96|-83.0|324|216 220 234 283 326 330 380 419 436 440 513 567 614 740 937
OK|Oklahoma City|73102|35.47|-97.52|536|405 539 572 580 918
OR|Portland|97204|45.52|-122.68|672|458 503 541 971
PA|Philadelphia|19107|39.95|-75.16|228|215 223 267 272 412 445 484 570 582 610 717 724 814 835 878
RI|Providence|02903|41.82|-71.41|130|401
SC|Columbia|29201|34.0|-81.03|434|803 821 839 843 854 864
SD|Sioux Falls|57104|43.55|-96.73|640|605
TN|Nashville|37203|36.15|-86.79|470|423 615 629 731 865 901 931
TX|Houston|77002|29.76|-95.37|560|281 346 713 832
TX|Austin|78701|30.27|-97.74|558|210 214 254 325 361 409 430 432 469 512 682 726 737 806 817 830 903 915 936 940 \
945 956 972 979
UT|Salt Lake City|84101|40.76|-111.9|660|385 435 801
VT|Burlington|05401|44.48|-73.21|124|802
VA|Richmond|23219|37.54|-77.44|248|276 434 540 571 686 703 757 804 826 948
WA|Seattle|98101|47.61|-122.33|674|206 253 360 425 509 564
WV|Charleston|25301|38.35|-81.63|254|304 681
WI|Milwaukee|53202|43.04|-87.91|356|262 274 353 414 534 608 715 920
WY|Cheyenne|82001|41.14|-104.82|654|307
"""

_CA = """
AB|Calgary|T2P|51.05|-114.07|888|368 403 587 780 825
BC|Vancouver|V6B|49.28|-123.12|888|236 250 604 672 778
MB|Winnipeg|R3C|49.9|-97.14|888|204 431 584
NB|Moncton|E1C|46.09|-64.77|888|428 506
NL|St. John's|A1C|47.56|-52.71|888|709
NS|Halifax|B3J|44.65|-63.57|888|782 902
ON|Toronto|M5H|43.65|-79.38|888|226 249 289 343 365 416 437 519 548 613 647 683 705 742 753 807 905
QC|Montreal|H2Y|45.5|-73.57|888|263 354 367 418 438 450 468 514 579 581 819 873
SK|Regina|S4P|50.45|-104.61|888|306 474 639
YT|Whitehorse|Y1A|60.72|-135.05|888|867
"""


def _area_codes(country: str, text: str) -> dict[str, tuple[str, Place]]:
    areas: dict[str, tuple[str, Place]] = {}
    for line in text.strip().splitlines():
        region, city, postal_code, latitude, longitude, lata, codes = line.split("|")
        place = Place(region, city, postal_code, float(latitude), float(longitude), lata)
        areas.update((code, (country, place)) for code in codes.split())
    return areas


# Area code of the North American plan -> (country, place).
AREA_CODES: dict[str, tuple[str, Place]] = {**_area_codes("US", _US), **_area_codes("CA", _CA)}

_NOWHERE = Place(None, None, None, None, None, None)

# Ranges of other countries: (country, number type, prefix, digits after it, place).
RANGES: tuple[tuple[str, str, str, int, Place], ...] = (
    ("GB", "local", "+4420", 8, Place("London", "London", None, 51.51, -0.13, None)),
    ("GB", "local", "+44161", 7, Place("Greater Manchester", "Manchester", None, 53.48, -2.24, None)),
    ("GB", "local", "+44131", 7, Place("Edinburgh", "Edinburgh", None, 55.95, -3.19, None)),
    ("GB", "mobile", "+447400", 6, _NOWHERE),
    ("GB", "tollfree", "+44808", 7, _NOWHERE),
    ("DE", "local", "+4930", 8, Place("Berlin", "Berlin", None, 52.52, 13.4, None)),
    ("DE", "local", "+4989", 8, Place("Bayern", "Munich", None, 48.14, 11.58, None)),
    ("DE", "mobile", "+4915735", 6, _NOWHERE),
    ("FR", "local", "+331", 8, Place("Ile-de-France", "Paris", None, 48.86, 2.35, None)),
    ("AT", "local", "+431", 8, Place("Wien", "Vienna", None, 48.21, 16.37, None)),
    ("AT", "mobile", "+43676", 7, _NOWHERE),
    ("AU", "local", "+612", 8, Place("New South Wales", "Sydney", None, -33.87, 151.21, None)),
    ("AU", "mobile", "+614", 8, _NOWHERE),
    ("BR", "local", "+5511", 8, Place("SP", "Sao Paulo", None, -23.55, -46.63, None)),
    ("ES", "local", "+3491", 7, Place("Madrid", "Madrid", None, 40.42, -3.7, None)),
    ("IE", "local", "+3531", 7, Place("Leinster", "Dublin", None, 53.35, -6.26, None)),
    ("IL", "local", "+9723", 7, Place("Tel Aviv", "Tel Aviv", None, 32.08, 34.78, None)),
    ("IT", "local", "+3906", 8, Place("Lazio", "Rome", None, 41.9, 12.5, None)),
    ("IT", "mobile", "+39351", 7, _NOWHERE),
    ("LU", "local", "+35220", 6, Place("Luxembourg", "Luxembourg", None, 49.61, 6.13, None)),
    ("MX", "local", "+5255", 8, Place("CDMX", "Mexico City", None, 19.43, -99.13, None)),
    ("NL", "local", "+3120", 7, Place("North Holland", "Amsterdam", None, 52.37, 4.9, None)),
    ("NL", "mobile", "+316", 8, _NOWHERE),
    ("PL", "local", "+4822", 7, Place("Mazowieckie", "Warsaw", None, 52.23, 21.01, None)),
    ("SE", "local", "+468", 7, Place("Stockholm", "Stockholm", None, 59.33, 18.07, None)),
    ("SE", "mobile", "+4673", 7, _NOWHERE),
    ("ZA", "local", "+2711", 7, Place("Gauteng", "Johannesburg", None, -26.2, 28.05, None)),
    ("ZA", "local", "+2721", 7, Place("Western Cape", "Cape Town", None, -33.93, 18.42, None)),
    ("ZA", "mobile", "+2760", 7, _NOWHERE),
    ("ZA", "national", "+2787", 7, _NOWHERE),
)
