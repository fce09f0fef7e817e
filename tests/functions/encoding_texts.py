"""Tables of customers in many languages, as exports hold them: names, towns and remarks, from a few accents to many."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

LENGTHS = (3, 10, 40, 300)
"""Least numbers of characters above ASCII in a table."""


@dataclass(frozen=True)
class Language:
    """What customers are called, where they live, what is noted of them; ``encodings``: what their files are in."""

    names: tuple[str, ...]
    towns: tuple[str, ...]
    remarks: tuple[str, ...]
    encodings: tuple[str, ...]


_WEST = ("cp1252", "cp850", "cp437", "mac_roman")
_CENTRAL = ("cp1250", "iso8859_2", "cp852")
_CYRILLIC = ("cp1251", "koi8_r", "cp866")


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";"))


def _language(names: str, towns: str, remarks: str, encodings: tuple[str, ...]) -> Language:
    return Language(_split(names), _split(towns), _split(remarks), encodings)


LANGUAGES: Mapping[str, Language] = {
    "German": _language(
        "Jürgen Müller; Käthe Schäfer; Björn Größl; Günther Weiß; Dörte Krüger; Anna Schröder; Rüdiger Köhler; Bärbel Groß",
        "Köln; München; Düsseldorf; Würzburg; Göttingen; Weißenfels; Lübeck; Saarbrücken; Zürich",
        "Rückruf nächste Woche; möchte später zahlen; Straße geändert; Ware beschädigt zurück; für Büro; grüßt herzlich",
        _WEST,
    ),
    "French": _language(
        "Hélène Lefèvre; François Béranger; Zoé Dubois; André Châtelain; Gaëlle Noël; Jérôme Besançon; Agnès Rivière",
        "Orléans; Besançon; Nîmes; Saint-Étienne; Béziers; Angoulême; Châlons; Évry; Mâcon",
        "à rappeler dès lundi; déjà livré; réclamation reçue; préfère être contactée l’après-midi; échange refusé; où est-il ?",
        _WEST,
    ),
    "Spanish": _language(
        "José Muñoz García; María Peña; Íñigo Martínez; Lucía Núñez; Raúl Gómez; Begoña Ibáñez; Andrés Güell",
        "Málaga; Cádiz; A Coruña; León; Mérida; Logroño; Córdoba; Jaén; Bogotá",
        "llamará mañana; devolución por daños; envío rápido; cliente desde hace años; ¿cuándo llega?; dirección errónea",
        _WEST,
    ),
    "Portuguese": _language(
        "João Conceição; Inês Gonçalves; Antônio Magalhães; Lídia Araújo; Sebastião Simões; Mônica Falcão",
        "São Paulo; Brasília; Goiânia; Évora; Guimarães; Maceió; Santarém; Florianópolis",
        "não atende à tarde; endereço incorreto; devolução; já está pago; reclamação por atraso; prefere ligação amanhã",
        ("cp1252", "cp850", "mac_roman"),
    ),
    "Italian": _language(
        "Nicolò Bernardi; Niccolò Forlì; Mosè D’Amico; Noè Città; Giosuè Cantù",
        "Forlì; Cefalù; Cantù; San Donà; Santhià; Mondovì",
        "città sbagliata; è già cliente; sarà richiamata perché assente; qualità ottima; metà prezzo; lunedì mattina",
        _WEST,
    ),
    "Swedish": _language(
        "Åsa Björklund; Göran Sjöberg; Märta Åkesson; Jörgen Öberg; Sören Nyström; Håkan Lindström",
        "Malmö; Göteborg; Västerås; Örebro; Linköping; Jönköping; Umeå; Gävle",
        "återkommer på måndag; vill ändra beställningen; för sent; önskar faktura; hör av sig; två paket saknas på lördag",
        _WEST,
    ),
    "Danish": _language(
        "Søren Jørgensen; Mette Sørensen; Jens Kjær; Bjørn Nørgaard; Pia Ågård; Lærke Østergaard",
        "Aarhus Ø; Køge; Næstved; Sønderborg; Rødovre; Ærøskøbing; Tårnby",
        "ønsker opkald på lørdag; træffes først i næste måned; varen må sendes; får ny købsordre; spørger på dansk",
        ("cp1252", "cp850", "mac_roman"),
    ),
    "Icelandic": _language(
        "Guðrún Jónsdóttir; Sigurður Þórsson; Ásta Kristjánsdóttir; Þorbjörg Guðmundsdóttir; Örn Ægisson; Ýmir Bjarnason",
        "Reykjavík; Kópavogur; Hafnarfjörður; Ísafjörður; Seyðisfjörður; Höfn; Þorlákshöfn",
        "hringja á þriðjudag; ný pöntun síðar; vill fá aðra stærð; greiðsla barst; óskar eftir tilboði",
        ("cp1252", "cp850"),
    ),
    "Finnish": _language(
        "Päivi Hämäläinen; Väinö Mäkelä; Jyrki Lähteenmäki; Sääski Öhman; Hilkka Pöyhönen",
        "Jyväskylä; Hämeenlinna; Seinäjoki; Järvenpää; Ähtäri; Kemijärvi",
        "soittaa myöhemmin; tilaus peruttu tänään; lähetä lasku sähköpostilla; hyvä asiakas; käteinen riittää",
        _WEST,
    ),
    "Czech": _language(
        "Jiří Dvořák; Kateřina Nováková; Ondřej Šťastný; Božena Němcová; Zdeněk Kučera; Růžena Říhová; Václav Čapek",
        "Plzeň; České Budějovice; Říčany; Třebíč; Uherské Hradiště; Ústí nad Labem; Žďár",
        "volat příští týden; zboží vráceno; chce změnit dodací adresu; děkuje za rychlé vyřízení; účet zaplacen později",
        _CENTRAL,
    ),
    "Polish": _language(
        "Łukasz Wałęsa; Małgorzata Wiśniewska; Paweł Kozłowski; Elżbieta Dąbrowska; Michał Zieliński; Agnieszka Szymańska",
        "Łódź; Kraków; Gdańsk; Wrocław; Częstochowa; Białystok; Rzeszów; Świdnica",
        "proszę dzwonić później; zwrot towaru; zapłacono gotówką; zmienił adres; nie życzy sobie reklam; źle zapisane imię",
        _CENTRAL,
    ),
    "Hungarian": _language(
        "Győző Kovács; Erzsébet Szabó; Ödön Fekete; Zsófia Tóth; Gergő Erdős; Jenő Hegedűs; Ágnes Szűcs",
        "Győr; Székesfehérvár; Pécs; Hódmezővásárhely; Kecskemét; Gödöllő; Szentgotthárd",
        "később visszahívni; sérült áru; előre fizetett; új cím szükséges; nem kér több hírlevelet; jövő hétfőn érkezik",
        _CENTRAL,
    ),
    "Romanian": _language(
        "Ştefan Bălan; Ioana Niţă; Cătălin Păun; Mărioara Lupşa; Răzvan Rădulescu; Anişoara Ţurcanu",
        "Iaşi; Braşov; Piteşti; Bacău; Galaţi; Constanţa; Timişoara; Târgu Mureş",
        "sună mâine dimineaţă; doreşte factură; adresă greşită; plăteşte în rate; să fie livrat la uşă; mulţumeşte",
        _CENTRAL,
    ),
    "Croatian": _language(
        "Željko Horvat; Ivančica Šarić; Krešimir Babić; Đurđica Kovačević; Anđela Jurić; Siniša Vuković",
        "Čakovec; Šibenik; Požega; Poreč; Križevci; Đakovo; Varaždin",
        "nazvati sljedeći tjedan; vraćena pošiljka; želi račun; već plaćeno; žali se na kašnjenje",
        _CENTRAL,
    ),
    "Turkish": _language(
        "Ayşe Yıldız; İbrahim Şahin; Gülşen Çelik; Işıl Doğan; Çağla Özdağ; Yağmur Kılıç; Şükrü Aydoğdu",
        "Muğla; Eskişehir; Diyarbakır; Kırıkkale; İzmir; Şanlıurfa; Nevşehir; Ağrı",
        "haftaya aranacak; iade edildi; öğleden sonra uğrayacak; faturası gönderildi; sipariş değişti; teşekkürler",
        ("cp1254",),
    ),
    "Russian": _language(
        "Сергей Иванов; Ольга Кузнецова; Дмитрий Щербаков; Наталья Фёдорова; Юрий Жуков; Екатерина Смирнова",
        "Москва; Санкт-Петербург; Екатеринбург; Нижний Новгород; Челябинск; Уфа",
        "перезвонить в понедельник; возврат товара; оплачено наличными; просит счёт; адрес изменился",
        _CYRILLIC,
    ),
    "Ukrainian": _language(
        "Тарас Шевченко; Оксана Коваленко; Юрій Кравець; Наталія Їжакевич; Євген Бондаренко",
        "Київ; Львів; Харків; Запоріжжя; Вінниця; Чернігів",
        "передзвонити у понеділок; повернення товару; сплачено готівкою; змінив адресу; дякує за швидку доставку",
        ("cp1251",),
    ),
    "Bulgarian": _language(
        "Георги Димитров; Мария Стоянова; Светлана Ангелова; Николай Желязков; Красимир Тодоров",
        "София; Пловдив; Велико Търново; Стара Загора; Бургас; Русе",
        "да се обади утре; върната стока; платено в брой; сменен адрес; очаква фактура",
        _CYRILLIC,
    ),
    "Greek": _language(
        "Γιώργος Παπαδόπουλος; Ελένη Οικονόμου; Νίκος Αντωνίου; Κατερίνα Γεωργίου; Δημήτρης Βασιλείου",
        "Αθήνα; Θεσσαλονίκη; Πάτρα; Ηράκλειο; Ιωάννινα; Χανιά",
        "να καλέσουμε τη Δευτέρα; επιστροφή προϊόντος; πληρωμή με κάρτα; νέα διεύθυνση; ευχαριστεί πολύ",
        ("cp1253",),
    ),
    "Lithuanian": _language(
        "Žydrūnas Kazlauskas; Rūta Žemaitė; Jūratė Šimkutė; Kęstutis Jankauskas; Gražina Paulauskienė",
        "Šiauliai; Panevėžys; Klaipėda; Mažeikiai; Telšiai; Utėna",
        "skambinti kitą savaitę; prekė grąžinta; pageidauja sąskaitos; pakeitė adresą; ačiū už greitą pristatymą",
        ("cp1257",),
    ),
    "Hebrew": _language(
        "דוד כהן; שרה לוי; יעקב מזרחי; רחל פרידמן; משה ביטון",
        "תל אביב; ירושלים; חיפה; באר שבע; נתניה",
        "להתקשר ביום ראשון; החזרת מוצר; שולם במזומן; כתובת חדשה",
        ("cp1255",),
    ),
    "Arabic": _language(
        "محمد عبد الله; فاطمة حسن; أحمد السيد; عائشة محمود; يوسف إبراهيم",
        "القاهرة; الرياض; دمشق; الإسكندرية; بغداد",
        "الاتصال غدا; إرجاع المنتج; تم الدفع نقدا; تغيير العنوان",
        ("cp1256",),
    ),
    "Japanese": _language(
        "佐藤 健太; 鈴木 美咲; 高橋 一郎; 渡辺 さくら; 伊藤 翔; 小林 真由美; 株式会社ヤマダ",
        "東京都新宿区; 大阪市北区; 横浜市; 札幌市中央区; 名古屋市; 福岡市博多区",
        "来週また電話する; 商品の返品; 現金で支払い済み; 住所変更あり; メールでご連絡ください",
        ("cp932",),
    ),
    "Chinese, simplified": _language(
        "王伟; 李娜; 张建国; 刘洋; 陈秀英; 赵丽华; 上海贸易有限公司",
        "北京市朝阳区; 上海市; 广州市天河区; 深圳市; 成都市; 武汉市",
        "下周再打电话; 商品已退货; 现金付款; 地址变更; 请用邮件联系我们",
        ("gb18030",),
    ),
    "Chinese, traditional": _language(
        "陳美玲; 林志明; 黃淑芬; 張家豪; 吳雅婷; 劉建宏; 臺灣貿易股份有限公司",
        "臺北市信義區; 高雄市; 臺中市; 新竹市; 桃園市; 香港九龍",
        "下週再打電話; 商品已退貨; 現金付款; 地址變更; 請用電子郵件聯絡我們",
        ("cp950",),
    ),
    "Korean": _language(
        "김민준; 이서연; 박지훈; 최수진; 정현우; 강예은; 주식회사 한빛",
        "서울특별시 강남구; 부산광역시; 대구광역시; 인천광역시; 수원시; 제주시",
        "다음 주에 다시 전화; 상품 반품; 현금으로 결제함; 주소 변경; 이메일로 연락 바랍니다",
        ("cp949",),
    ),
}


def table(language: Language, accents: int, seed: int, *, encoding: str = "utf-8") -> str:
    """A table of customers with at least so many characters above ASCII; those that ``encoding`` lacks are left out.

    Every file also holds names and towns without any accent, as customers have.
    """
    rng = random.Random(seed)
    rows = ["contact_id,full_name,email,city,note"]
    found = 0
    while found < accents:
        number = len(rows)
        # A short one is a table of few accents, not of few rows.
        parts = [rng.choice(language.names), rng.choice(language.towns), rng.choice(language.remarks)]
        kept = rng.sample(range(3), 1 if accents <= 10 else rng.randint(1, 3))
        cells = [part if index in kept else plain for index, (part, plain) in enumerate(zip(parts, _PLAIN, strict=True))]
        cells = [_within(cell, encoding) for cell in cells]
        rows.append(f'{number},{cells[0]},u{number}@example.com,{cells[1]},"{cells[2]}"')
        found += sum(char > "\x7f" for cell in cells for char in cell)
    return "\r\n".join(rows) + "\r\n"


_PLAIN = ("Robert Simon", "London", "ok")


def _within(cell: str, encoding: str) -> str:
    try:
        cell.encode(encoding)
    except UnicodeEncodeError:
        words = [word for word in cell.split() if _can(word, encoding)]
        return " ".join(words) or "x"
    return cell


def _can(word: str, encoding: str) -> bool:
    try:
        word.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
