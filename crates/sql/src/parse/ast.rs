//! The syntax tree of Druid SQL as written, before any name is looked up. Every node that an error may point at keeps
//! its place in the text.

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pos {
    pub line: u32,
    pub column: u32,
}

/// A name; case is kept, quoted or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Ident {
    pub value: String,
    pub quoted: bool,
    pub pos: Pos,
}

/// A statement with the SET options before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// `SET key = literal` in order.
    pub options: Vec<(String, Literal)>,
    pub explain: bool,
    pub body: StatementBody,
    /// Number of `?`.
    pub parameters: usize,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // one a statement, never kept in numbers
pub enum StatementBody {
    Query(Query),
    Ingest(Ingest),
}

/// INSERT or REPLACE.
#[derive(Debug, Clone, PartialEq)]
pub struct Ingest {
    /// REPLACE, with its OVERWRITE condition (`None` is ALL).
    pub replace: Option<Option<Expr>>,
    pub target: Vec<Ident>,
    pub query: Query,
    pub partitioned_by: Option<Expr>,
    pub clustered_by: Vec<Expr>,
}

/// A query with its WITH, ORDER BY, OFFSET and LIMIT.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub ctes: Vec<Cte>,
    pub body: QueryBody,
    pub order_by: Vec<OrderItem>,
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
}

/// `name (columns) AS (query)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cte {
    pub name: Ident,
    pub columns: Vec<Ident>,
    pub query: Query,
}

/// SELECT, VALUES, a set operation or a query in parentheses.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryBody {
    Select(Box<Select>),
    Values(Vec<Vec<Expr>>),
    Nested(Box<Query>),
    SetOperation { op: SetOperator, all: bool, left: Box<QueryBody>, right: Box<QueryBody>, pos: Pos },
}

/// The kinds of set operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetOperator {
    Union,
    Intersect,
    Except,
}

/// One SELECT block.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    pub pos: Pos,
    pub distinct: bool,
    pub items: Vec<SelectItem>,
    pub from: Vec<TableRef>,
    pub filter: Option<Expr>,
    pub group_by: Option<Vec<GroupItem>>,
    pub having: Option<Expr>,
    pub windows: Vec<(Ident, WindowSpec)>,
    pub qualify: Option<Expr>,
}

impl Select {
    /// `SELECT * FROM …`.
    pub fn star(from: Vec<TableRef>, pos: Pos) -> Select {
        Select {
            pos,
            distinct: false,
            items: vec![SelectItem::Star(Vec::new(), pos)],
            from,
            filter: None,
            group_by: None,
            having: None,
            windows: Vec::new(),
            qualify: None,
        }
    }
}

/// An entry of the select list.
#[derive(Debug, Clone, PartialEq)]
pub enum SelectItem {
    /// `*` or `t.*`.
    Star(Vec<Ident>, Pos),
    Expr {
        expr: Expr,
        alias: Option<Ident>,
    },
}

/// An entry of GROUP BY.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupItem {
    Expr(Expr),
    /// `(a, b)` or `()`.
    Tuple(Vec<Expr>),
    Rollup(Vec<GroupItem>),
    Cube(Vec<GroupItem>),
    Sets(Vec<GroupItem>),
}

/// An entry of ORDER BY.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderItem {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: Option<bool>,
}

/// `AS name (columns)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Alias {
    pub name: Ident,
    pub columns: Vec<Ident>,
}

/// Something in FROM.
#[derive(Debug, Clone, PartialEq)]
pub enum TableRef {
    Table {
        name: Vec<Ident>,
        alias: Option<Alias>,
    },
    Derived {
        query: Box<Query>,
        /// It may read the tables before it.
        lateral: bool,
        alias: Option<Alias>,
    },
    Unnest {
        exprs: Vec<Expr>,
        with_ordinality: bool,
        alias: Option<Alias>,
        pos: Pos,
    },
    /// `TABLE(call)`, with an EXTEND list for external data.
    Function {
        call: Expr,
        extend: Vec<(Ident, TypeName)>,
        alias: Option<Alias>,
        pos: Pos,
    },
    /// `PIVOT (aggregates FOR axes IN (values))`.
    Pivot {
        input: Box<TableRef>,
        aggregates: Vec<(Expr, Option<Ident>)>,
        axes: Vec<Ident>,
        values: Vec<(Vec<Expr>, Option<Ident>)>,
        alias: Option<Alias>,
        pos: Pos,
    },
    /// `UNPIVOT (measures FOR axes IN (columns))`.
    Unpivot {
        input: Box<TableRef>,
        include_nulls: bool,
        measures: Vec<Ident>,
        axes: Vec<Ident>,
        columns: Vec<(Vec<Ident>, Vec<Expr>)>,
        alias: Option<Alias>,
        pos: Pos,
    },
    Join {
        left: Box<TableRef>,
        right: Box<TableRef>,
        kind: JoinKind,
        on: JoinOn,
    },
}

/// The kinds of join that text can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

/// The condition of a join.
#[derive(Debug, Clone, PartialEq)]
pub enum JoinOn {
    None,
    Condition(Expr),
    Using(Vec<Ident>),
    Natural,
}

/// A constant as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    /// Digits without point or exponent.
    Integer(String),
    /// With a point: Calcite's DECIMAL.
    Decimal(String),
    /// With an exponent: DOUBLE.
    Double(String),
    String(String),
    Timestamp(String),
    Date(String),
    Time(String),
}

/// An expression and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub pos: Pos,
}

/// Two-operand operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOp {
    Or,
    And,
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
    Concat,
}

/// What IS tests for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsTest {
    Null,
    True,
    False,
    Unknown,
}

/// The forms of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    Name(Vec<Ident>),
    Star,
    Literal(Literal),
    /// The n-th `?`, from 0.
    Parameter(usize),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    Is {
        expr: Box<Expr>,
        test: IsTest,
        negated: bool,
    },
    IsDistinct {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    Between {
        expr: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
        symmetric: bool,
    },
    InList {
        expr: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    InQuery {
        expr: Box<Expr>,
        query: Box<Query>,
        negated: bool,
    },
    Like {
        expr: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
        negated: bool,
        similar: bool,
    },
    Case {
        operand: Option<Box<Expr>>,
        whens: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast {
        expr: Box<Expr>,
        to: TypeName,
    },
    Call(Box<Call>),
    Array(Vec<Expr>),
    Row(Vec<Expr>),
    Subquery(Box<Query>),
    /// `ARRAY(SELECT …)`.
    ArrayQuery(Box<Query>),
    Exists(Box<Query>),
    Item {
        base: Box<Expr>,
        index: Box<Expr>,
    },
    Interval {
        negative: bool,
        text: String,
        unit: String,
        to: Option<String>,
    },
    /// A word that is an argument by itself: a time unit, BOTH, LEADING, TRAILING, `=>` names.
    Symbol(String),
}

/// A function call with everything that may hang on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// In upper case.
    pub name: String,
    /// As in the text, for error messages.
    pub written: String,
    pub args: Vec<Expr>,
    /// `name => value` arguments, beside `args`.
    pub named: Vec<(Ident, Expr)>,
    pub distinct: bool,
    pub order_by: Vec<OrderItem>,
    pub filter: Option<Expr>,
    pub over: Option<Over>,
    pub returning: Option<TypeName>,
    pub ignore_nulls: bool,
}

/// `OVER name` or `OVER (…)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Over {
    Name(Ident),
    Spec(WindowSpec),
}

/// A window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WindowSpec {
    pub pos: Pos,
    pub base: Option<Ident>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<OrderItem>,
    pub frame: Option<Frame>,
}

/// The rows of a window frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub pos: Pos,
    pub rows: bool,
    pub start: Bound,
    pub end: Bound,
}

/// One end of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    UnboundedPreceding,
    Preceding(Box<Expr>),
    CurrentRow,
    Following(Box<Expr>),
    UnboundedFollowing,
}

/// A type as written: name in upper case, with ARRAY suffixes counted.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeName {
    pub name: String,
    /// Name inside `TYPE('COMPLEX<json>')`.
    pub native: Option<String>,
    pub arrays: usize,
    pub pos: Pos,
}
