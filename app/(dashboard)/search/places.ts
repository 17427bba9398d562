/** A page that the search box offers. */
export interface Place {
  title: string;
  href: string;
  /** What it is: `page`, `queue`, `account`. */
  kind: string;
}

const maxOffered = 8;

/** Returns the places whose title has the text, those that begin with it first. An empty text offers the first places. */
export function matchPlaces(places: Place[], text: string): Place[] {
  const wanted = text.trim().toLowerCase();
  const rank = ({ title, kind }: Place): number => {
    const name = title.toLowerCase();
    if (name.startsWith(wanted)) return 0;
    if (name.includes(wanted)) return 1;
    return `${kind} ${name}`.startsWith(wanted) ? 2 : 3;
  };
  return places
    .map((place) => ({ place, rank: rank(place) }))
    .filter(({ rank }) => rank < 3)
    .sort((a, b) => a.rank - b.rank)
    .slice(0, maxOffered)
    .map(({ place }) => place);
}
